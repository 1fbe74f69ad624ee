// AWS Signature Version 4 in the Authorization header, as S3 takes it. Source: "Authenticating
// Requests (AWS Signature Version 4)", Amazon S3 API Reference; RFC 2104 for HMAC.
#pragma once

#include "core/base/digest.hpp"
#include "core/base/time.hpp"

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mlp::net {

// Names and values, as many of one name as there are.
using Pairs = std::vector<std::pair<std::string, std::string>>;

[[nodiscard]] Digest hmac_sha256(std::span<const std::byte> key, std::string_view text);

struct SigningKey {
  std::string access_key;
  std::string secret_key;
  std::string region;
  std::string service = "s3";
};

struct SignedRequest {
  std::string method;       // "GET"
  std::string path;         // as it is sent: begins with '/', percent-encoded once
  Pairs query;              // decoded, in any order
  Pairs headers;            // all that are to be signed; must hold "host"
  std::string payload_hash; // 64 hexadecimal characters of the body, or "UNSIGNED-PAYLOAD"
};

// "20150830T123600Z", the value of x-amz-date.
[[nodiscard]] std::string amz_date(WallTime time);

// Sorted and percent-encoded: what is signed is also what has to be sent.
[[nodiscard]] std::string canonical_query(const Pairs& query);
// Header names in lower case, values trimmed, inner spaces squeezed. No path is normalised: S3 keys
// are taken as they are.
[[nodiscard]] std::string canonical_request(const SignedRequest& request);

// The value of the Authorization header. `date` is amz_date() of the time of signing, which the
// headers hold as x-amz-date.
[[nodiscard]] std::string authorization(const SignedRequest& request, const SigningKey& key,
                                        std::string_view date);

} // namespace mlp::net
