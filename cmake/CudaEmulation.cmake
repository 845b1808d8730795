# The CUDA backend compiled for the CPU (tests/cuda_emulation): the very same .cu files, by the C++ compiler, with
# other headers before nn/cuda/device's. Its objects stand before the libraries, so that their list of backends wins.
file(GLOB cuda_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/nn/cuda/*.c ${CMAKE_SOURCE_DIR}/nn/cuda/*.cu)
file(GLOB emulation_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/cuda_emulation/*.cpp)
file(GLOB cu_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/nn/cuda/*.cu ${CMAKE_SOURCE_DIR}/tests/cuda_emulation/*.cu)
set_source_files_properties(${cu_sources} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-xc++;-Wno-unknown-pragmas")
add_library(cuda_emulated OBJECT ${CMAKE_SOURCE_DIR}/nn/backends.c ${cuda_sources} ${emulation_sources})
target_include_directories(cuda_emulated PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/tests
  ${CMAKE_SOURCE_DIR}/tests/cuda_emulation)
target_link_libraries(cuda_emulated PRIVATE eidetic_flags)
target_compile_definitions(cuda_emulated PRIVATE EIDETIC_CUDA=1)

# Those against golden data, which scripts/test --full also builds and runs with AddressSanitizer, ten times as slow.
add_custom_target(emulated_golden)

# The tests of one file, on cuda:emulated alone.
function(eidetic_emulated_test kind name)
  set(target ${name}_emulated)
  set(environment "EIDETIC_TEST_BACKENDS=cuda;EIDETIC_TEST_DEVICE=cuda:emulated;${own_cache}")
  add_executable(${target} ${kind}/${name}.c $<TARGET_OBJECTS:cuda_emulated>)
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${target} PRIVATE ${all_modules} PkgConfig::CMOCKA PkgConfig::JANSSON PkgConfig::XXHASH)
  target_compile_definitions(${target} PRIVATE TEST_DATA="${CMAKE_CURRENT_SOURCE_DIR}/${kind}"
    SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  if(kind STREQUAL "golden")
    add_dependencies(emulated_golden ${target})
  endif()
  add_test(NAME cuda/${name} COMMAND ${target} WORKING_DIRECTORY ${CMAKE_BINARY_DIR})
  set_tests_properties(cuda/${name} PROPERTIES LABELS cuda TIMEOUT ${timeout}
    ENVIRONMENT "${environment}")
  foreach(also IN LISTS ARGN) # NAME=VALUE
    string(REPLACE "=" "-" suffix ${also})
    add_test(NAME cuda/${name}-${suffix} COMMAND ${target} WORKING_DIRECTORY ${CMAKE_BINARY_DIR})
    set_tests_properties(cuda/${name}-${suffix} PROPERTIES LABELS cuda TIMEOUT ${timeout}
      ENVIRONMENT "${environment};EIDETIC_${also}")
  endforeach()
endfunction()
foreach(name attn conv elem failures gemm layout nearest norm reference)
  eidetic_emulated_test(ops test_ops_${name})
endforeach()
eidetic_emulated_test(ops test_ops_device EMULATED_SM=75 CUDNN=off)
eidetic_emulated_test(ops test_ops_streams EMULATED_STREAMS=early)
eidetic_emulated_test(golden test_golden_batches EMULATED_STREAMS=early EMULATED_MEMORY=4)
foreach(name clip families mobileclip naflex sampler vae caption)
  eidetic_emulated_test(golden test_golden_${name})
endforeach()
eidetic_emulated_test(unit test_search_ahead)
eidetic_emulated_test(unit test_index_precision EMULATED_SM=75)

add_executable(test_cuda_emulation cuda_emulation/test_checks.cu $<TARGET_OBJECTS:cuda_emulated>)
target_include_directories(test_cuda_emulation PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}
  ${CMAKE_CURRENT_SOURCE_DIR}/cuda_emulation)
target_link_libraries(test_cuda_emulation PRIVATE nn core)
add_test(NAME cuda/emulation COMMAND test_cuda_emulation)
set_tests_properties(cuda/emulation PROPERTIES LABELS cuda TIMEOUT 120)
add_test(NAME cuda/ptxas COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/cuda_emulation/check_ptxas.sh ${CMAKE_BINARY_DIR}/cuda)
set_tests_properties(cuda/ptxas PROPERTIES LABELS cuda SKIP_RETURN_CODE 77)
# cuDNN itself, where the toolkit has it: its numbers, and whether it has plans for the convolutions asked for.
find_file(EIDETIC_CUDNN_HEADER cudnn.h PATHS ${EIDETIC_CUDA_INCLUDE} ${cuda_root}/../cudnn/include NO_DEFAULT_PATH)
add_test(NAME cuda/dnn_numbers COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/cuda_emulation/dnn_numbers.sh ${CMAKE_SOURCE_DIR}
  "${EIDETIC_CUDNN_HEADER}" "${EIDETIC_CUDA_INCLUDE}")
set_tests_properties(cuda/dnn_numbers PROPERTIES LABELS cuda SKIP_RETURN_CODE 77)
if(CUDA_FOUND_HERE)
  add_executable(dnn_plans cuda_emulation/dnn_plans.c ${CMAKE_SOURCE_DIR}/nn/cuda/device/cudnn.c)
  target_include_directories(dnn_plans PRIVATE ${CMAKE_SOURCE_DIR})
  target_include_directories(dnn_plans SYSTEM PRIVATE ${EIDETIC_CUDA_INCLUDE})
  target_compile_definitions(dnn_plans PRIVATE CUDNN_FILE="${EIDETIC_CUDNN_FILE}")
  target_link_libraries(dnn_plans PRIVATE core ${CMAKE_DL_LIBS} eidetic_flags)
  add_test(NAME cuda/dnn_plans COMMAND dnn_plans)
  set_tests_properties(cuda/dnn_plans PROPERTIES LABELS cuda SKIP_RETURN_CODE 77 TIMEOUT 300)
endif()

# Planted bugs: copies of a source with one line changed, each of which a test must catch. They are built when
# cuda/planted_bugs runs, not before.
set(planted_script ${CMAKE_CURRENT_SOURCE_DIR}/cuda_emulation/planted_bugs.sh)
set(planted_table ${CMAKE_CURRENT_SOURCE_DIR}/cuda_emulation/planted_bugs.txt)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${planted_table})
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/planted)
file(STRINGS ${planted_table} bugs REGEX "^[^#]")
foreach(bug IN LISTS bugs)
  string(REGEX REPLACE "^([a-z_]+) +([a-z_]+)(\\.[a-z]+) +([a-z_]+) .*" "\\1;\\2;\\3;\\4" fields "${bug}")
  list(GET fields 0 name)
  list(GET fields 1 stem)
  list(GET fields 2 suffix)
  list(GET fields 3 test)
  set(from ${CMAKE_SOURCE_DIR}/nn/cuda/${stem}${suffix})
  set(copy ${CMAKE_BINARY_DIR}/planted/${name}${suffix})
  add_custom_command(OUTPUT ${copy} DEPENDS ${from} ${planted_table} VERBATIM COMMENT "planting ${name}"
    COMMAND bash ${planted_script} plant ${name} ${from} ${copy})
  if(suffix STREQUAL ".cu")
    set_source_files_properties(${copy} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-xc++")
  endif()
  add_executable(planted_${name} EXCLUDE_FROM_ALL ops/${test}.c ${copy}
    "$<FILTER:$<TARGET_OBJECTS:cuda_emulated>,EXCLUDE,/${stem}${suffix}[.]o>")
  target_include_directories(planted_${name} PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}
    ${CMAKE_CURRENT_SOURCE_DIR}/cuda_emulation)
  target_compile_definitions(planted_${name} PRIVATE EIDETIC_CUDA=1 TEST_DATA="${CMAKE_CURRENT_SOURCE_DIR}/ops")
  target_compile_options(planted_${name} PRIVATE -w)
  target_link_libraries(planted_${name} PRIVATE nn core PkgConfig::CMOCKA eidetic_flags)
  list(APPEND planted planted_${name})
endforeach()
add_test(NAME cuda/planted_bugs COMMAND bash ${planted_script} run ${CMAKE_COMMAND} ${CMAKE_BINARY_DIR} ${planted})
set_tests_properties(cuda/planted_bugs PROPERTIES LABELS cuda TIMEOUT 900 RUN_SERIAL ON)
