// `mlp log tag`: a program tags its own run: a line of $MLP_METRICS.
#include "cli/reporting.hpp"
#include "cli/session.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/track/annotations.hpp"

namespace mlp {

namespace {

void run(Session& session) {
  Json tags = json_object();
  for (const std::string& word : session.arguments().all("TAG")) {
    track::check_tag(word);
    const std::size_t equals = word.find('=');
    const bool pair = equals != std::string::npos && equals != 0;
    tags[word.substr(0, pair ? equals : word.size())] = pair ? word.substr(equals + 1) : "";
  }
  report(json_object({{"tags", std::move(tags)}}), "log tag");
}

} // namespace

extern const Command log_tag_command;
const Command log_tag_command = {
    .path = "log tag",
    .summary = "tag a run from within it",
    .category = Category::training,
    .arguments = {{.name = "TAG", .help = "a word, or NAME=VALUE", .repeated = true}},
    .examples = {{"mlp log tag diverged", "as 'mlp runs tag' does from without"},
                 {"mlp log tag stage=finetune", "one value a name: the last counts"}},
    .run = run};

} // namespace mlp
