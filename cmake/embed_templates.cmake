# mlp_embed_templates(OUT): writes OUT, a C++ file with every file below templates/ as bytes. The
# assembler includes them, so that neither their size nor their content costs compile time.
function(mlp_embed_templates out)
  set(root ${PROJECT_SOURCE_DIR}/templates)
  file(GLOB_RECURSE files CONFIGURE_DEPENDS LIST_DIRECTORIES false RELATIVE ${root} ${root}/*/*)
  list(SORT files)
  set(bytes "")
  set(symbols "")
  set(rows "")
  set(names "")
  set(index 0)
  foreach(file IN LISTS files)
    string(REGEX MATCH "^[^/]+" name ${file})
    string(LENGTH ${name}/ length)
    string(SUBSTRING ${file} ${length} -1 path)
    set(executable false)
    if(path MATCHES "\\.sh$")
      set(executable true)
    endif()
    string(APPEND bytes "        \"mlp_template_${index}:\\n.incbin \\\"${root}/${file}\\\"\\n\"\n"
                        "        \"mlp_template_${index}_end:\\n.byte 0\\n\"\n")
    string(APPEND symbols "extern const char mlp_template_${index}[], mlp_template_${index}_end[];\n")
    string(APPEND rows "      {\"${name}\", {\"${path}\", {mlp_template_${index}, static_cast<std::size_t>(mlp_template_${index}_end - mlp_template_${index})}, ${executable}}},\n")
    math(EXPR index "${index} + 1")
  endforeach()
  set(text "// Generated from templates/ by cmake/embed_templates.cmake.
#include \"core/config/embedded_files.hpp\"

__asm__(\".pushsection .rodata\\n\"
${bytes}        \".popsection\\n\");

extern \"C\" {
${symbols}}

namespace mlp::config {

std::vector<EmbeddedFile> embedded_files() {
  return {
${rows}  };
}

} // namespace mlp::config
")
  file(CONFIGURE OUTPUT ${out} CONTENT "${text}" @ONLY)
  list(TRANSFORM files PREPEND ${root}/)
  set_source_files_properties(${out} PROPERTIES OBJECT_DEPENDS "${files}")
endfunction()
