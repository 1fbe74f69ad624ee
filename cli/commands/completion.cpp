// `mlp completion SHELL`: the adaptor for a shell, which asks `mlp __complete`.
#include "cli/completers.hpp"
#include "cli/session.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

namespace mlp {

// Embedded from completions/ at build time.
extern const std::string_view completion_bash;
extern const std::string_view completion_zsh;
extern const std::string_view completion_fish;

namespace {

void run(Session& session) {
  const std::string shell = session.arguments().get_or("SHELL", "");
  std::string_view text;
  if (shell == "bash") text = completion_bash;
  if (shell == "zsh") text = completion_zsh;
  if (shell == "fish") text = completion_fish;
  if (text.empty()) {
    const std::vector<std::string> known = {"bash", "zsh", "fish"};
    throw Error(ErrorKind::usage, fmt::format("no completion for shell '{}'", printable(shell)))
        .with_hint(suggestion_hint(shell, known, "shells"));
  }
  session.output().emit(json_object({{"shell", shell}, {"script", text}}),
                        TextView{std::string(text)});
}

} // namespace

extern const Command completion_command;
const Command completion_command = {
    .path = "completion",
    .summary = "print the completion script of a shell",
    .category = Category::settings,
    .arguments = {{.name = "SHELL", .help = "bash, zsh or fish", .complete = complete_shells}},
    .examples = {{"mlp completion bash", "for bash: eval \"$(mlp completion bash)\" in ~/.bashrc"},
                 {"mlp completion fish",
                  "for fish: save it as ~/.config/fish/completions/mlp.fish"}},
    .run = run};

} // namespace mlp
