// An object on its way into a bucket: small ones in one request, large ones in parts of which a few
// are under way at once, so that memory stays bounded.
#pragma once

#include "backends/storage/s3/s3_client.hpp"
#include "core/data/bytes.hpp"
#include "core/data/storage.hpp"
#include "core/data/task_pool.hpp"

#include <deque>
#include <future>
#include <string>
#include <vector>

namespace mlp::storage {

class S3Writer final : public data::ObjectWriter {
 public:
  // Client and pool outlive it.
  S3Writer(S3Client& client, data::TaskPool& pool, std::string name);
  // Parts that were sent without a commit() are removed from the store, if it answers.
  ~S3Writer() override;

  void append(std::span<const std::byte> data) override;
  void commit() override;

 private:
  void send_part();
  void take_part();
  void put_whole();
  void complete();

  S3Client& client_;
  data::TaskPool& pool_;
  std::string name_;
  data::Bytes buffer_;
  std::uint64_t total_ = 0;
  std::string upload_;             // of a multipart upload; empty: none begun
  std::vector<std::string> etags_; // of the parts, in order
  std::deque<std::future<std::string>> sending_;
  unsigned parts_ = 0; // sent or under way
};

} // namespace mlp::storage
