// `mlp __complete WORDS...`: what the shells' adaptors ask for; the last word is being typed.
#include "cli/completers.hpp"
#include "cli/session.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const std::vector<std::string> words = session.arguments().all("WORDS");
  enter_directory(words);
  std::string text;
  for (const Candidate& c : complete_line(session, words))
    text += fmt::format("{}\t{}\n", printable(c.value), printable(c.description));
  session.output().write(text);
}

} // namespace

extern const Command complete_command;
const Command complete_command = {.path = "__complete",
                                  .summary = "print what may follow the words of a command line",
                                  .category = Category::hidden,
                                  .raw = true,
                                  .run = run};

} // namespace mlp
