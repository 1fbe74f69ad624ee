// Where an s3: URL leads: bucket, prefix, endpoint, region, and how the bucket is addressed.
#pragma once

#include "core/net/aws.hpp"
#include "core/net/url.hpp"

#include <string>

namespace mlp::storage {

struct S3Place {
  std::string bucket;
  std::string prefix;      // "" or "team/digits/"
  std::string endpoint;    // "https://host[:port]", and perhaps a path, without a '/' at its end
  bool is_aws = false;     // the endpoint is Amazon's own, and follows the region
  bool path_style = false; // "endpoint/bucket/key"; else "bucket.endpoint/key"
  bool anonymous = false;  // nothing is signed
  std::string region;
  std::string location; // for people: the URL, with the endpoint where it is not Amazon's
  net::AwsProfile profile;

  // The URL of a key (decoded; "" is the bucket) without a query, in a region; and its host and
  // path apart, as a signature needs them.
  struct Address {
    std::string url, host, path;
  };
  [[nodiscard]] Address address(std::string_view key, const std::string& in_region) const;
};

// "s3://bucket/prefix", with the parameters endpoint=URL, region=NAME, profile=NAME,
// addressing=path|virtual, anonymous=true|false. What the URL does not say comes from the
// environment and the AWS profile. Throws Error(config) that says what is wrong with it.
[[nodiscard]] S3Place read_s3_url(const net::Url& url, const net::EnvironmentOf& environment);

} // namespace mlp::storage
