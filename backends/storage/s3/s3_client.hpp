// Requests to one bucket: signed, tried again where that is right, and refused with an error that
// names the object, the place and the remedy. Source: Amazon S3 API Reference, "Error responses".
#pragma once

#include "backends/storage/s3/s3_place.hpp"
#include "core/net/http.hpp"

#include <atomic>
#include <functional>
#include <initializer_list>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace mlp::storage {

using Query = std::vector<std::pair<std::string, std::string>>;

struct S3Request {
  std::string method = "GET";
  std::string name;  // of the object, below the prefix; empty: the bucket itself
  const char* doing; // for errors: "reading", "writing"
  Query query = {};
  net::HttpHeaders headers = {};
  std::span<const std::byte> body = {}; // of PUT and POST
  decltype(net::HttpRequest::sink) sink = {};
  std::function<void()> restart = {}; // before each attempt, for the sink
  std::size_t max_body = 1u << 20;
  std::vector<unsigned> also = {}; // answers beside 2xx that are none but answers
  bool cleanup = false;            // one short attempt, even after a stop
  bool patient = false;            // the store may think for minutes before it answers
};

struct S3Response {
  net::HttpResponse http;
};

class S3Client {
 public:
  S3Client(S3Place place, net::HttpOptions options, net::EnvironmentOf environment);

  [[nodiscard]] const S3Place& place() const noexcept { return place_; }

  // Blocks, never without bound. Thread-safe. Throws Error: not_found (the bucket, or an object
  // whose 404 is not in `also`), denied, unreachable, failed, interrupted.
  [[nodiscard]] S3Response send(const S3Request& request);

  // An error of this place about an object; "" for none.
  [[nodiscard]] Error error(ErrorKind kind, const std::string& message,
                            const S3Request& request) const;

 private:
  struct Fault;
  [[nodiscard]] net::HttpRequest build(const S3Request& request, const std::string& payload_hash,
                                       const net::Credentials* credentials) const;
  [[nodiscard]] Error refusal(const S3Request& request, const Fault& fault,
                              const std::string& source) const;
  [[nodiscard]] std::string region() const;

  S3Place place_;
  net::HttpClient http_;
  net::CredentialSource credentials_;
  std::atomic<std::int64_t> skew_ms_ = 0; // the store's clock less ours
  mutable std::mutex mutex_;              // over region_
  std::string region_;
};

} // namespace mlp::storage
