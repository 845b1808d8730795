# Compiles data files into a library as `const unsigned char NAME[]; const size_t NAME_size;`
# (a NUL follows the data), through the assembler's .incbin so that large files cost nothing.
function(eidetic_embed_file target file name)
  if(NOT EXISTS ${CMAKE_SOURCE_DIR}/${file})
    return()
  endif()
  set(out ${CMAKE_BINARY_DIR}/gen/embed_${name}.c)
  file(SIZE ${CMAKE_SOURCE_DIR}/${file} size)
  file(WRITE ${out}.new
"#include <stddef.h>
__asm__(\".section .rodata\\n.global ${name}\\n.balign 16\\n${name}:\\n.incbin \\\"${CMAKE_SOURCE_DIR}/${file}\\\"\\n.byte 0\\n.previous\\n\");
extern const unsigned char ${name}[];
extern const size_t ${name}_size;
const size_t ${name}_size = ${size};
")
  configure_file(${out}.new ${out} COPYONLY)
  set_source_files_properties(${out} PROPERTIES OBJECT_DEPENDS ${CMAKE_SOURCE_DIR}/${file})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${file})
  target_sources(${target} PRIVATE ${out})
endfunction()

# All files of a folder that match, in name order, as `const struct embedded NAME[]` (core/embed.h), ended by a NULL name.
function(eidetic_embed_folder target folder pattern name)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/${pattern})
  list(SORT files)
  set(body "#include \"core/embed.h\"\n")
  set(table "")
  set(i 0)
  foreach(f IN LISTS files)
    get_filename_component(stem ${f} NAME)
    file(SIZE ${f} size)
    string(APPEND body "__asm__(\".section .rodata\\n.balign 16\\n.global ${name}_${i}\\n${name}_${i}:\\n.incbin \\\"${f}\\\"\\n.byte 0\\n.previous\\n\");\nextern const unsigned char ${name}_${i}[];\n")
    string(APPEND table "    {\"${stem}\", ${name}_${i}, ${size}},\n")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${f})
    math(EXPR i "${i}+1")
  endforeach()
  set(out ${CMAKE_BINARY_DIR}/gen/embed_${name}.c)
  file(WRITE ${out}.new "${body}extern const struct embedded ${name}[];\nconst struct embedded ${name}[] = {\n${table}    {0}};\n")
  configure_file(${out}.new ${out} COPYONLY)
  set_source_files_properties(${out} PROPERTIES OBJECT_DEPENDS "${files}")
  target_sources(${target} PRIVATE ${out})
endfunction()
