# Flags for all of our own code, as one interface target.
add_library(eidetic_flags INTERFACE)
target_compile_options(eidetic_flags INTERFACE
  -Wall -Wextra -Wshadow -Wpointer-arith -Wundef -Wformat=2
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
    -Wvla -Wwrite-strings -Wno-format-nonliteral -include ${CMAKE_SOURCE_DIR}/core/banned.h>
  -fno-math-errno -ffp-contract=off -fstack-protector-strong)
target_compile_definitions(eidetic_flags INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64)
# EIDETIC_WERROR=AUTO: errors with the compilers that the project is checked with, so that the
# warnings of a newer one do not keep anybody from building.
if(EIDETIC_WERROR STREQUAL "AUTO")
  if((CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_C_COMPILER_VERSION MATCHES "^12\\.") OR
     (CMAKE_C_COMPILER_ID STREQUAL "Clang" AND CMAKE_C_COMPILER_VERSION MATCHES "^14\\."))
    target_compile_options(eidetic_flags INTERFACE -Werror)
  endif()
elseif(EIDETIC_WERROR)
  target_compile_options(eidetic_flags INTERFACE -Werror)
endif()
if(EIDETIC_SANITIZE)
  target_compile_options(eidetic_flags INTERFACE -fsanitize=address,undefined
    -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(eidetic_flags INTERFACE -fsanitize=address,undefined)
  target_compile_definitions(eidetic_flags INTERFACE EIDETIC_SANITIZED=1)
endif()
if(EIDETIC_TSAN)
  target_compile_options(eidetic_flags INTERFACE -fsanitize=thread -fno-omit-frame-pointer)
  target_link_options(eidetic_flags INTERFACE -fsanitize=thread)
  target_compile_definitions(eidetic_flags INTERFACE EIDETIC_SANITIZED=1)
endif()
if((EIDETIC_SANITIZE OR EIDETIC_TSAN) AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
  # the instrumentation hides value ranges from this warning
  target_compile_options(eidetic_flags INTERFACE -Wno-format-truncation)
endif()
if(EIDETIC_COVERAGE)
  target_compile_options(eidetic_flags INTERFACE --coverage)
  target_link_options(eidetic_flags INTERFACE --coverage)
endif()
if(EIDETIC_FUZZ)
  target_compile_options(eidetic_flags INTERFACE -fsanitize=fuzzer-no-link,address,undefined)
  target_link_options(eidetic_flags INTERFACE -fsanitize=address,undefined)
  target_compile_definitions(eidetic_flags INTERFACE EIDETIC_SANITIZED=1)
endif()
