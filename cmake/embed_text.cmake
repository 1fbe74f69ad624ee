# Writes OUT, a C++ file that defines `extern const std::string_view NAME` for each text file.
set(code "// Generated from text files.\n#include <string_view>\n\nnamespace mlp {\n")
foreach(file name IN ZIP_LISTS FILES NAMES)
  file(READ ${file} text)
  string(APPEND code "extern const std::string_view ${name};\nconst std::string_view ${name} = R\"mlp_text(${text})mlp_text\";\n")
endforeach()
string(APPEND code "} // namespace mlp\n")
file(WRITE ${OUT} "${code}")
