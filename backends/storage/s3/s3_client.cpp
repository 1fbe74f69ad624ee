// The loop of attempts. Beside failures that may pass there are three refusals that are mended once
// each: our clock is wrong (the answer holds the store's time), the credentials have ended (new
// ones are asked for), the bucket is in another region (the answer names it).
#include "backends/storage/s3/s3_client.hpp"

#include "backends/storage/s3/xml.hpp"
#include "core/base/text.hpp"
#include "core/net/sigv4.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

namespace mlp::storage {

namespace {

constexpr std::chrono::minutes patience{5};
constexpr std::chrono::seconds cleanup_wait{5};

std::chrono::milliseconds now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(wall_now().time_since_epoch());
}

bool is_slow_down(std::string_view code) {
  static constexpr std::array<std::string_view, 9> codes = {"SlowDown",
                                                            "InternalError",
                                                            "ServiceUnavailable",
                                                            "RequestTimeout",
                                                            "Throttling",
                                                            "ThrottlingException",
                                                            "RequestLimitExceeded",
                                                            "OperationAborted",
                                                            "ConditionalRequestConflict"};
  return std::ranges::find(codes, code) != codes.end();
}

} // namespace

// What an answer other than success says.
struct S3Client::Fault {
  unsigned status = 0;
  std::string code; // "NoSuchKey"; empty where there was no body
  std::string message;
  std::string region;

  explicit Fault(const net::HttpResponse& response) : status(response.status) {
    if (const auto xml = parse_xml(response.body); xml && xml->name == "Error") {
      code = printable(xml->value("Code"));
      message = printable(std::string_view(xml->value("Message")).substr(0, 300));
      region = std::string(xml->value("Region"));
    }
    if (const auto* header = response.header("x-amz-bucket-region")) region = *header;
  }
  [[nodiscard]] std::string text() const {
    return code.empty() ? fmt::to_string(status) : fmt::format("{} {}", status, code);
  }
};

S3Client::S3Client(S3Place place, net::HttpOptions options, net::EnvironmentOf environment)
    : place_(std::move(place)), http_([&] {
        if (options.ca_file.empty()) options.ca_file = place_.profile.ca_file;
        return std::move(options);
      }()),
      credentials_(place_.profile, std::move(environment), http_), region_(place_.region) {}

std::string S3Client::region() const {
  const std::lock_guard lock(mutex_);
  return region_;
}

Error S3Client::error(ErrorKind kind, const std::string& message, const S3Request& request) const {
  return Error(kind, message)
      .with_context(request.name.empty()
                        ? fmt::format("while {} '{}'", request.doing, place_.location)
                        : fmt::format("while {} object '{}' at '{}'", request.doing, request.name,
                                      place_.location));
}

net::HttpRequest S3Client::build(const S3Request& request, const std::string& payload_hash,
                                 const net::Credentials* credentials) const {
  const std::string in_region = region();
  const auto address = place_.address(
      request.name.empty() ? std::string() : place_.prefix + request.name, in_region);
  net::HttpRequest http;
  http.method = request.method;
  http.url = address.url;
  if (!request.query.empty()) http.url += "?" + net::canonical_query(request.query);
  http.headers = request.headers;
  http.sink = request.sink;
  http.max_body = request.max_body;
  if (request.patient)
    http.stall_timeout =
        std::max<std::chrono::milliseconds>(patience, http_.options().stall_timeout);
  if (request.cleanup) {
    http.unstoppable = true;
    http.connect_timeout = http.stall_timeout = cleanup_wait;
  }
  if (request.method == "PUT" || request.method == "POST")
    http.body = net::HttpBody::of(request.body);
  if (credentials == nullptr) return http;

  const std::string date =
      net::amz_date(WallTime(now_ms() + std::chrono::milliseconds(skew_ms_.load())));
  http.headers.emplace_back("Host", address.host);
  http.headers.emplace_back("x-amz-content-sha256", payload_hash);
  http.headers.emplace_back("x-amz-date", date);
  if (!credentials->session_token.empty())
    http.headers.emplace_back("x-amz-security-token", credentials->session_token);
  http.headers.emplace_back(
      "Authorization",
      net::authorization({request.method, address.path, request.query, http.headers, payload_hash},
                         {credentials->access_key, credentials->secret_key, in_region, "s3"},
                         date));
  return http;
}

Error S3Client::refusal(const S3Request& request, const Fault& fault,
                        const std::string& source) const {
  const auto named = [&](ErrorKind kind, const std::string& message, std::string hint) {
    Error result = error(kind, message, request);
    if (!hint.empty()) result.add_hint(std::move(hint));
    return result;
  };
  const std::string place = net::url_origin(place_.endpoint);
  const std::string_view code = fault.code;
  if (code == "InvalidAccessKeyId" || code == "SignatureDoesNotMatch" || code == "InvalidToken")
    return named(
        ErrorKind::denied,
        fmt::format("'{}' does not accept the credentials of {} ({})", place, source, code),
        "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile in "
        "~/.aws/credentials");
  if (code == "ExpiredToken" || code == "TokenRefreshRequired")
    return named(ErrorKind::denied, fmt::format("the credentials of {} have expired", source),
                 "get new ones from where these came from, and run the command again");
  if (code == "RequestTimeTooSkewed")
    return named(ErrorKind::failed,
                 fmt::format("'{}' refuses the request: its clock differs too much from this "
                             "machine's",
                             place),
                 "set this machine's clock, by NTP for instance");
  if (code == "QuotaExceeded" || fault.status == 507)
    return named(ErrorKind::denied,
                 fmt::format("'{}' is full or over quota ({})", place, fault.text()),
                 "remove something, or ask for more room");
  if (fault.status == 401 || fault.status == 403)
    return named(ErrorKind::denied, fmt::format("'{}' denies access ({})", place, fault.text()),
                 place_.anonymous ? "the bucket is not public: remove '?anonymous=true' and give "
                                    "credentials"
                                  : fmt::format("the credentials of {} need s3:ListBucket, "
                                                "s3:GetObject and, to push, s3:PutObject and "
                                                "s3:DeleteObject on the bucket '{}'",
                                                source, place_.bucket));
  if (code == "NoSuchBucket")
    return named(ErrorKind::not_found, fmt::format("no bucket '{}' at '{}'", place_.bucket, place),
                 "create it, or correct the remote's URL");
  if (fault.status == 404)
    return named(ErrorKind::not_found,
                 request.name.empty()
                     ? fmt::format("'{}' is no S3 endpoint: it answered 404", place)
                     : fmt::format("no object '{}' at '{}'", request.name, place_.location),
                 "");
  if (fault.status >= 300 && fault.status < 400)
    return named(ErrorKind::config,
                 fmt::format("the bucket '{}' is elsewhere ({})", place_.bucket, fault.text()),
                 fault.region.empty() ? "name its region or endpoint in the remote's URL"
                                      : fmt::format("its region is '{}'", printable(fault.region)));
  if (fault.status == 501)
    return named(
        ErrorKind::failed,
        fmt::format("'{}' does not support this ({}: {})", place, fault.text(), fault.message), "");
  return named(ErrorKind::failed,
               fmt::format("'{}' answered {}{}{}", place, fault.text(),
                           fault.message.empty() ? "" : ": ", fault.message),
               "");
}

S3Response S3Client::send(const S3Request& request) {
  const std::string payload_hash = sha256(request.body).hex();
  bool clock_set = false, renewed = false, moved = false;
  net::RetryPolicy policy = http_.options().retry;
  if (request.cleanup) policy.attempts = 1;
  net::Retry retry(policy, http_.options().stop);
  while (true) {
    std::optional<net::Credentials> credentials;
    try {
      if (!place_.anonymous) credentials = credentials_.get();
    } catch (Error& failure) {
      failure.add_context(fmt::format("while using '{}'", place_.location));
      throw;
    }
    if (request.restart) request.restart();
    net::HttpResponse response =
        http_.send(build(request, payload_hash, credentials ? &*credentials : nullptr));
    if (response.failure) {
      if (response.transient && retry.again()) continue;
      Error failure = *std::move(response.failure);
      failure.add_context(error(failure.kind(), "", request).contexts().front());
      if (retry.attempt() > 1)
        failure.add_context(fmt::format("after {} attempts in {}", retry.attempt(),
                                        format_duration(retry.elapsed())));
      throw failure;
    }
    if (response.ok() || std::ranges::find(request.also, response.status) != request.also.end())
      return {std::move(response)};

    const Fault fault(response);
    const std::string source = credentials ? credentials->source : "nobody (anonymous)";
    if (fault.code == "RequestTimeTooSkewed" && !std::exchange(clock_set, true)) {
      const std::string* date = response.header("date");
      if (const auto time = date != nullptr ? net::parse_http_date(*date) : std::nullopt) {
        skew_ms_ = std::chrono::duration_cast<std::chrono::milliseconds>(time->time_since_epoch())
                       .count() -
                   now_ms().count();
        continue;
      }
    }
    const bool ended = fault.code == "ExpiredToken" || fault.code == "InvalidToken" ||
                       fault.code == "InvalidAccessKeyId";
    if (ended && credentials && !std::exchange(renewed, true) && credentials_.renew(*credentials))
      continue;
    const bool elsewhere = !fault.region.empty() && fault.region != region() &&
                           (fault.status == 301 || fault.status == 307 || fault.status == 400);
    if (elsewhere && !std::exchange(moved, true)) {
      const std::lock_guard lock(mutex_);
      region_ = fault.region;
      continue;
    }
    if (net::is_transient_status(fault.status) || is_slow_down(fault.code)) {
      if (retry.again(net::retry_after(response))) continue;
      Error failure =
          error(ErrorKind::unreachable,
                fmt::format("'{}' answered {} {} times in {}", net::url_origin(place_.endpoint),
                            fault.text(), retry.attempt(), format_duration(retry.elapsed())),
                request);
      failure.add_hint("the store is overloaded or broken; run the command again later, it goes on "
                       "where it stopped");
      throw failure;
    }
    throw refusal(request, fault, source);
  }
}

} // namespace mlp::storage
