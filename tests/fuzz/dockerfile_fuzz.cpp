// Any text is a Dockerfile or an Error, and what is one can be evaluated or says why not.
#include "core/base/error.hpp"
#include "core/image/dockerfile.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mlp::image;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const Dockerfile file =
        parse_dockerfile(text, "Dockerfile", {{"A", "1"}}, {"linux", "amd64", ""});
    std::vector<StageScope> scopes;
    for (std::size_t i = 0; i < file.stages.size(); ++i) {
      const auto from = file.stages[i].base_stage;
      if (from && *from >= i) __builtin_trap();
      const StageSteps stage = evaluate_stage(file, i, from ? scopes[*from] : StageScope{});
      if (stage.steps.size() != file.stages[i].instructions.size()) __builtin_trap();
      for (const Step& step : stage.steps)
        if (const auto* copy = std::get_if<CopyStep>(&step.action))
          if (!copy->target.starts_with('/')) __builtin_trap();
      scopes.push_back(stage.scope);
    }
  } catch (const mlp::Error&) {
  }
  return 0;
}
