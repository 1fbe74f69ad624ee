// A run's outs as MLflow's artifact API has them: listing, and, for clients that cannot write to
// the folder itself, reading and writing files over HTTP. A path from outside stays below the
// folder: it is checked as text, and opened without following any symbolic link.
#pragma once

#include "core/base/fs.hpp"
#include "core/base/json_fwd.hpp"
#include "core/serve/http.hpp"

#include <string>
#include <string_view>

namespace mlp::serve {

constexpr std::uint64_t max_artifact_body = 32u << 20; // over HTTP

// FileInfo messages of a folder, sorted, at most 10,000: what lies directly in `path` ("" is the
// root), a file by itself, or nothing where there is nothing. Throws MlflowError for a path that
// may not be.
[[nodiscard]] Json list_artifacts(const fs::path& root, std::string_view path, bool relative);

// Of `mlflow-artifacts/artifacts/PATH`. Throw MlflowError, and Error of the file system.
[[nodiscard]] HttpResponse read_artifact(const fs::path& root, std::string_view path);
void write_artifact(const fs::path& root, std::string_view path, std::string_view content);
void remove_artifact(const fs::path& root, std::string_view path);

} // namespace mlp::serve
