// From the text of a Dockerfile to its instructions: directives, comments, continued lines,
// heredocs, flags. For the sources beside it.
#pragma once

#include "core/image/dockerfile.hpp"

#include <string_view>
#include <vector>

namespace mlp::image {

struct DockerfileText {
  char escape = '\\';
  std::vector<Instruction> instructions;
};
// Every keyword is one of Docker's. Throws Error(config) "NAME:LINE: ...".
[[nodiscard]] DockerfileText read_instructions(std::string_view text, std::string_view name);

// What a word "<<NAME", "<<-NAME" or "3<<NAME" asks for, without its content; nullopt for another.
[[nodiscard]] std::optional<Heredoc> heredoc_of(std::string_view word, char escape);

// The texts of a JSON array; nullopt for what is none. Throws for an array of something else.
[[nodiscard]] std::optional<std::vector<std::string>>
text_list(std::string_view text, std::string_view keyword, std::string_view name, unsigned line);

} // namespace mlp::image
