// What `mlp gpu check` says, apart from how it came to it.
#pragma once

#include "core/base/json_fwd.hpp"
#include "core/gpu/check.hpp"

#include <string>

namespace mlp {

// A line for each figure, then the findings, GPU by GPU; the verdict last. 80 columns as a rule.
[[nodiscard]] std::string gpu_report_text(const gpu::CheckResult& result);

// {verdict, gpus, links}; docs/gpu-check.md defines the figures. Rates are in `unit`, as measured.
[[nodiscard]] Json gpu_report_json(const gpu::CheckResult& result);

} // namespace mlp
