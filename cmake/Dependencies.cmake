# Everything from Debian 12's packages (scripts/setup lists them). docs/ARCHITECTURE.md says why each was chosen.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(JPEG REQUIRED)
find_package(SQLite3 3.37 REQUIRED)
pkg_check_modules(IMAGE REQUIRED IMPORTED_TARGET libpng libwebp libwebpdemux libwebpmux libexif lcms2 expat)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(NETTLE REQUIRED IMPORTED_TARGET nettle)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(SECCOMP IMPORTED_TARGET libseccomp)
if(SECCOMP_FOUND)
  add_library(eidetic_seccomp INTERFACE)
  target_link_libraries(eidetic_seccomp INTERFACE PkgConfig::SECCOMP)
  target_compile_definitions(eidetic_seccomp INTERFACE HAVE_SECCOMP=1)
  set(EIDETIC_SECCOMP eidetic_seccomp)
endif()

# OpenBLAS by name (Debian's CMake target of FAISS names reference BLAS), the OpenMP build preferred, so that
# one runtime holds the threads.
find_path(OPENBLAS_INCLUDE cblas.h
  PATHS /usr/include/x86_64-linux-gnu/openblas-openmp /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}/openblas-openmp
        /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}/openblas-pthread /usr/include/${CMAKE_LIBRARY_ARCHITECTURE} NO_DEFAULT_PATH REQUIRED)
find_library(OPENBLAS_LIBRARY openblas
  PATHS /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/openblas-openmp /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/openblas-pthread
        /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE} NO_DEFAULT_PATH REQUIRED)
find_package(OpenMP REQUIRED)
add_library(eidetic_blas INTERFACE)
target_include_directories(eidetic_blas SYSTEM INTERFACE ${OPENBLAS_INCLUDE})
target_link_libraries(eidetic_blas INTERFACE ${OPENBLAS_LIBRARY} OpenMP::OpenMP_C)

# FAISS: the C API's headers are all that search/ is coded against. Where the machine has libfaiss_c it is
# linked; otherwise search/faiss_c_missing.cpp defines the few official functions that we call.
find_path(FAISS_INCLUDE faiss/c_api/Index_c.h REQUIRED)
find_library(FAISS_LIBRARY faiss REQUIRED)
find_library(FAISS_C_LIBRARY faiss_c)
find_package(OpenMP REQUIRED COMPONENTS CXX)
add_library(eidetic_faiss INTERFACE)
target_include_directories(eidetic_faiss SYSTEM INTERFACE ${FAISS_INCLUDE})
if(FAISS_C_LIBRARY)
  target_link_libraries(eidetic_faiss INTERFACE ${FAISS_C_LIBRARY})
  target_compile_definitions(eidetic_faiss INTERFACE HAVE_FAISS_C=1)
endif()
target_link_libraries(eidetic_faiss INTERFACE ${FAISS_LIBRARY} ${OPENBLAS_LIBRARY} OpenMP::OpenMP_CXX)

# Libraries that are loaded when something needs them (core/library.h): found here for their headers and their
# SONAME. Those of formats can be missing: without the package, the codec's file is left out of the build.
function(eidetic_loaded target macro package library)
  pkg_check_modules(${macro} QUIET ${package})
  if(${macro}_FOUND)
    find_library(${macro}_FILE ${library} HINTS ${${macro}_LIBDIR})
    execute_process(COMMAND ${CMAKE_OBJDUMP} -p ${${macro}_FILE} OUTPUT_VARIABLE head ERROR_QUIET)
    string(REGEX MATCH "SONAME +([^\n]+)" found "${head}")
    if(found)
      target_compile_definitions(${target} INTERFACE HAVE_${macro}=1 ${macro}_SONAME="${CMAKE_MATCH_1}")
      target_include_directories(${target} SYSTEM INTERFACE ${${macro}_INCLUDE_DIRS})
    endif()
  endif()
  set(found "${found}" PARENT_SCOPE)
endfunction()

add_library(eidetic_formats INTERFACE)
set(EIDETIC_FORMATS_MISSING "")
function(eidetic_format macro package library source)
  eidetic_loaded(eidetic_formats ${macro} ${package} ${library})
  if(found)
    return()
  endif()
  message(STATUS "no ${package}: built without image/${source}.c")
  set(EIDETIC_FORMATS_MISSING ${EIDETIC_FORMATS_MISSING} ${source} PARENT_SCOPE)
endfunction()
eidetic_format(LIBTIFF libtiff-4 tiff tiff)
eidetic_format(LIBHEIF libheif heif heif)
eidetic_format(LIBJXL libjxl jxl jxl)
eidetic_format(OPENJPEG libopenjp2 openjp2 jp2)

add_library(eidetic_terminal INTERFACE)
eidetic_loaded(eidetic_terminal LIBCHAFA chafa chafa)
if(NOT found)
  message(FATAL_ERROR "libchafa was not found; scripts/setup installs what is needed")
endif()

add_library(eidetic_network INTERFACE)
eidetic_loaded(eidetic_network LIBCURL libcurl curl)
if(NOT found)
  message(FATAL_ERROR "libcurl was not found; scripts/setup installs what is needed")
endif()
