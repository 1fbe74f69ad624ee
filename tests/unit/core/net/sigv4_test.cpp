// Signatures against values that others published: the AWS Signature Version 4 test suite
// (credentials AKIDEXAMPLE, 30 August 2015), the worked examples of the S3 API Reference (24 May
// 2013), and RFC 4231 for HMAC.
#include "core/net/sigv4.hpp"

#include <catch2/catch.hpp>

using namespace mlp;
using namespace mlp::net;

namespace {

const std::string empty_hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr std::string_view suite_date = "20150830T123600Z";
constexpr std::string_view example_date = "20130524T000000Z";

std::string signature_of(const std::string& authorization) {
  return authorization.substr(authorization.rfind('=') + 1);
}

struct Vector {
  const char* name;
  std::string method;
  std::string path;
  Pairs query;
  Pairs headers; // beside host and x-amz-date
  std::string body;
  std::string signature;
};

std::string suite_signature(const Vector& v) {
  SignedRequest request{v.method, v.path, v.query, v.headers, sha256(v.body).hex()};
  request.headers.emplace_back("Host", "example.amazonaws.com");
  request.headers.emplace_back("X-Amz-Date", suite_date);
  const SigningKey key{"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1",
                       "service"};
  return signature_of(authorization(request, key, suite_date));
}

std::string example_signature(SignedRequest request) {
  request.headers.emplace_back("Host", "examplebucket.s3.amazonaws.com");
  request.headers.emplace_back("x-amz-content-sha256", request.payload_hash);
  const SigningKey key{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                       "us-east-1", "s3"};
  return signature_of(authorization(request, key, example_date));
}

} // namespace

TEST_CASE("the AWS Signature Version 4 test suite is signed as published") {
  const std::vector<Vector> vectors = {
      {"get-vanilla",
       "GET",
       "/",
       {},
       {},
       "",
       "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
      {"get-vanilla-query-order-key",
       "GET",
       "/",
       {{"Param1", "value2"}, {"Param1", "Value1"}},
       {},
       "",
       "eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1"},
      {"get-vanilla-query-order-key-case",
       "GET",
       "/",
       {{"Param2", "value2"}, {"Param1", "value1"}},
       {},
       "",
       "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
      {"get-vanilla-query-order-value",
       "GET",
       "/",
       {{"Param1", "value2"}, {"Param1", "value1"}},
       {},
       "",
       "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694"},
      {"get-vanilla-empty-query-key",
       "GET",
       "/",
       {{"Param1", "value1"}},
       {},
       "",
       "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
      {"get-unreserved",
       "GET",
       "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
       {},
       {},
       "",
       "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
      {"get-utf8",
       "GET",
       "/%E1%88%B4",
       {},
       {},
       "",
       "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
      {"get-header-key-duplicate",
       "GET",
       "/",
       {},
       {{"My-Header1", "value2"}, {"My-Header1", "value2"}, {"My-Header1", "value1"}},
       "",
       "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
      {"get-header-value-trim",
       "GET",
       "/",
       {},
       {{"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}},
       "",
       "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
      {"post-vanilla",
       "POST",
       "/",
       {},
       {},
       "",
       "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
      {"post-header-key-sort",
       "POST",
       "/",
       {},
       {{"My-Header1", "value1"}},
       "",
       "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
      {"post-x-www-form-urlencoded",
       "POST",
       "/",
       {},
       {{"Content-Type", "application/x-www-form-urlencoded"}},
       "Param1=value1",
       "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
  };
  for (const Vector& v : vectors) {
    INFO(v.name);
    CHECK(suite_signature(v) == v.signature);
  }
}

TEST_CASE("the examples of the S3 reference are signed as published") {
  CHECK(example_signature({"GET",
                           "/test.txt",
                           {},
                           {{"Range", "bytes=0-9"}, {"x-amz-date", std::string(example_date)}},
                           empty_hash}) ==
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  CHECK(example_signature({"PUT",
                           "/test%24file.text",
                           {},
                           {{"Date", "Fri, 24 May 2013 00:00:00 GMT"},
                            {"x-amz-date", std::string(example_date)},
                            {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                           sha256("Welcome to Amazon S3.").hex()}) ==
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
  CHECK(example_signature({"GET",
                           "/",
                           {{"lifecycle", ""}},
                           {{"x-amz-date", std::string(example_date)}},
                           empty_hash}) ==
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  CHECK(example_signature({"GET",
                           "/",
                           {{"max-keys", "2"}, {"prefix", "J"}},
                           {{"x-amz-date", std::string(example_date)}},
                           empty_hash}) ==
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST_CASE("a canonical query encodes all but unreserved characters, and is sorted after that") {
  CHECK(canonical_query({{"b", "x y/z+=%"}, {"a", "\xc3\xa9"}, {"A", "~"}, {"a-", ""}}) ==
        "A=~&a=%C3%A9&a-=&b=x%20y%2Fz%2B%3D%25");
}

TEST_CASE("HMAC-SHA256 gives the values of RFC 4231, with short and long keys") {
  const auto hmac = [](const std::string& key, std::string_view text) {
    return hmac_sha256(std::as_bytes(std::span(key)), text).hex();
  };
  CHECK(hmac("Jefe", "what do ya want for nothing?") ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  CHECK(hmac(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First") ==
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST_CASE("the date of a signature is UTC without separators") {
  CHECK(amz_date(*parse_time("2015-08-30T12:36:00.999Z")) == suite_date);
}
