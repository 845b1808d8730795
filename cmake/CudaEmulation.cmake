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

# The tests of one file, on cuda:emulated alone.
function(eidetic_emulated_test kind name)
  set(target ${name}_emulated)
  add_executable(${target} ${kind}/${name}.c $<TARGET_OBJECTS:cuda_emulated>)
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${target} PRIVATE ${all_modules} PkgConfig::CMOCKA PkgConfig::JANSSON PkgConfig::XXHASH)
  target_compile_definitions(${target} PRIVATE TEST_DATA="${CMAKE_CURRENT_SOURCE_DIR}/${kind}"
    SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  add_test(NAME cuda/${name} COMMAND ${target} WORKING_DIRECTORY ${CMAKE_BINARY_DIR})
  set_tests_properties(cuda/${name} PROPERTIES LABELS cuda TIMEOUT 600
    ENVIRONMENT "EIDETIC_TEST_BACKENDS=cuda;EIDETIC_TEST_DEVICE=cuda:emulated")
endfunction()
foreach(name attn conv device elem failures gemm layout norm reference)
  eidetic_emulated_test(ops test_ops_${name})
endforeach()
eidetic_emulated_test(golden test_golden_clip)
eidetic_emulated_test(golden test_golden_sampler)

add_executable(test_cuda_emulation cuda_emulation/test_checks.cu $<TARGET_OBJECTS:cuda_emulated>)
target_include_directories(test_cuda_emulation PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}
  ${CMAKE_CURRENT_SOURCE_DIR}/cuda_emulation)
target_link_libraries(test_cuda_emulation PRIVATE nn core)
add_test(NAME cuda/emulation COMMAND test_cuda_emulation)
set_tests_properties(cuda/emulation PROPERTIES LABELS cuda TIMEOUT 120)
add_test(NAME cuda/ptxas COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/cuda_emulation/check_ptxas.sh ${CMAKE_BINARY_DIR}/cuda)
set_tests_properties(cuda/ptxas PROPERTIES LABELS cuda SKIP_RETURN_CODE 77)
