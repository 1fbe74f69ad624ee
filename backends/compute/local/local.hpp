// The compute backend of this machine: a job is a detached supervisor process, a handle is the path
// of its run folder, and all there is to know stands in the run's journals.
#pragma once

#include "core/job/backend.hpp"

namespace mlp::local {

class LocalBackend final : public job::Backend {
 public:
  // `program` is this executable, which is started with __supervise RUN_FOLDER.
  explicit LocalBackend(fs::path program) : program_(std::move(program)) {}

  [[nodiscard]] std::string_view name() const noexcept override { return "local"; }
  [[nodiscard]] job::Capabilities capabilities() const override;
  [[nodiscard]] std::vector<job::Node> probe() override;
  [[nodiscard]] std::string render(const job::JobSpec& job) const override;
  std::string submit(const job::JobSpec& job) override;
  [[nodiscard]] std::vector<job::JobStatus> poll(std::span<const std::string> handles) override;
  void cancel(const std::string& handle, std::string_view reason, bool now) override;
  [[nodiscard]] job::LogChunk logs(const std::string& handle, job::LogStream stream,
                                   std::uint64_t offset, std::size_t limit) override;

 private:
  fs::path program_;
};

} // namespace mlp::local
