// Multipart upload. Source: Amazon S3 API Reference, CreateMultipartUpload, UploadPart,
// CompleteMultipartUpload, and their limits: 10,000 parts, each of 5 MiB at least but the last.
#include "backends/storage/s3/s3_writer.hpp"

#include "backends/storage/s3/xml.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

namespace mlp::storage {

namespace {

constexpr std::size_t first_part_bytes = 8u << 20;
constexpr unsigned parts_of_a_size = 1000; // then parts double: 8 TB in all
constexpr std::size_t parts_under_way = 3;
constexpr unsigned complete_rounds = 3;

std::size_t part_bytes(unsigned parts) {
  return first_part_bytes << (parts / parts_of_a_size);
}

} // namespace

S3Writer::S3Writer(S3Client& client, data::TaskPool& pool, std::string name)
    : client_(client), pool_(pool), name_(std::move(name)) {}

S3Writer::~S3Writer() {
  for (auto& part : sending_)
    part.wait();
  if (upload_.empty()) return;
  try {
    static_cast<void>(client_.send({.method = "DELETE",
                                    .name = name_,
                                    .doing = "abandoning",
                                    .query = {{"uploadId", upload_}},
                                    .also = {404},
                                    .cleanup = true}));
  } catch (const std::exception&) { // the store's own clean-up has to do it
    upload_.clear();
  }
}

void S3Writer::append(std::span<const std::byte> data) {
  total_ += data.size();
  while (!data.empty()) {
    const std::size_t wanted = part_bytes(parts_);
    // A full part goes out when more comes: so the last one is never empty.
    if (buffer_.size() == wanted) {
      send_part();
      continue;
    }
    const std::size_t n = std::min(data.size(), wanted - buffer_.size());
    buffer_.insert(buffer_.end(), data.begin(), data.begin() + static_cast<std::ptrdiff_t>(n));
    data = data.subspan(n);
  }
}

void S3Writer::take_part() {
  etags_.push_back(sending_.front().get());
  sending_.pop_front();
}

void S3Writer::send_part() {
  if (upload_.empty()) {
    const S3Request request{
        .method = "POST", .name = name_, .doing = "writing", .query = {{"uploads", ""}}};
    const auto xml = parse_xml(client_.send(request).http.body);
    if (!xml || xml->name != "InitiateMultipartUploadResult" || xml->value("UploadId").empty())
      throw client_.error(ErrorKind::failed, "the store began an upload without saying its id",
                          request);
    upload_ = xml->value("UploadId");
  }
  while (sending_.size() >= parts_under_way)
    take_part();
  const unsigned number = ++parts_;
  sending_.push_back(pool_.submit([&client = client_, name = name_, upload = upload_, number,
                                   part = std::move(buffer_)] {
    const S3Request request{.method = "PUT",
                            .name = name,
                            .doing = "writing",
                            .query = {{"partNumber", fmt::to_string(number)}, {"uploadId", upload}},
                            .body = part};
    const S3Response response = client.send(request);
    const std::string* etag = response.http.header("etag");
    if (etag == nullptr || etag->empty())
      throw client.error(ErrorKind::failed, "the store took a part without an ETag", request);
    return *etag;
  }));
  buffer_ = {};
}

void S3Writer::put_whole() {
  static_cast<void>(client_.send({.method = "PUT",
                                  .name = name_,
                                  .doing = "writing",
                                  .headers = {{"Content-Type", "application/octet-stream"}},
                                  .body = buffer_}));
}

void S3Writer::complete() {
  std::string list = "<CompleteMultipartUpload>";
  for (std::size_t i = 0; i < etags_.size(); ++i)
    list += fmt::format("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>", i + 1,
                        xml_escape(etags_[i]));
  list += "</CompleteMultipartUpload>";
  const S3Request request{.method = "POST",
                          .name = name_,
                          .doing = "writing",
                          .query = {{"uploadId", upload_}},
                          .headers = {{"Content-Type", "application/xml"}},
                          .body = std::as_bytes(std::span(list)),
                          .also = {404},
                          .patient = true};
  // An answer of 200 may still turn into an error while the store works.
  std::string problem;
  for (unsigned round = 1; round <= complete_rounds; ++round) {
    const S3Response response = client_.send(request);
    const auto xml = parse_xml(response.http.body);
    if (response.http.ok() && xml && xml->name == "CompleteMultipartUploadResult") return;
    problem = fmt::format("{} {}", response.http.status,
                          xml ? printable(xml->value("Code")) : std::string());
    if (response.http.status == 404) {
      // A former attempt completed it and its answer got lost: then the object is there.
      const auto head =
          client_.send({.method = "HEAD", .name = name_, .doing = "writing", .also = {404}});
      const std::string* size = head.http.header("content-length");
      if (head.http.ok() && size != nullptr && *size == fmt::to_string(total_)) return;
    }
    if (!response.http.ok()) break;
  }
  throw client_
      .error(ErrorKind::failed,
             fmt::format("the store did not put the parts together ({})", problem), request)
      .with_hint("run the command again");
}

void S3Writer::commit() {
  if (parts_ == 0) {
    put_whole();
    return;
  }
  send_part();
  while (!sending_.empty())
    take_part();
  complete();
  upload_.clear();
}

} // namespace mlp::storage
