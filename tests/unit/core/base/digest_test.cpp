// Vectors of FIPS 180-4's examples (NIST CSRC).
#include "core/base/digest.hpp"
#include "core/base/digest_lanes.hpp"

#include <catch2/catch.hpp>

#include <random>
#include <vector>

using namespace mlp;

TEST_CASE("sha256 gives the published digests") {
  CHECK(sha256("abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("").hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST_CASE("a running digest equals the digest of the whole, and starts anew") {
  Sha256 running;
  running.update("a");
  running.update("bc");
  CHECK(running.finish() == sha256("abc"));
  running.update("abc");
  CHECK(running.finish() == sha256("abc"));
}

TEST_CASE("a digest is read back from its text, and nothing else is a digest") {
  const Digest digest = sha256("abc");
  CHECK(parse_digest(digest.text()) == digest);
  CHECK(parse_digest(digest.hex()) == digest);
  CHECK_FALSE(parse_digest(digest.hex().substr(1)));
  CHECK_FALSE(parse_digest("sha256:" + std::string(64, 'g')));
}

TEST_CASE("digests of several messages are those of each") {
  if (!has_sha_instructions()) WARN("without SHA instructions each is computed by itself");
  std::mt19937 random(7);
  std::vector<std::byte> bytes(1u << 16);
  for (auto& b : bytes)
    b = static_cast<std::byte>(random());
  const auto check = [](const std::vector<std::span<const std::byte>>& messages) {
    std::vector<Digest> digests(messages.size());
    sha256_each(messages, digests);
    for (std::size_t i = 0; i < messages.size(); ++i)
      REQUIRE(digests[i] == sha256(messages[i]));
  };
  check({});
  const std::span<const std::byte> all(bytes);
  // Around the ends of blocks, with every partner.
  for (std::size_t a = 0; a <= 130; ++a) {
    for (std::size_t b = 0; b <= 130; b += 1 + a % 3)
      check({all.first(a), all.subspan(a, b)});
  }
  for (int round = 0; round < 200; ++round) {
    std::vector<std::span<const std::byte>> messages;
    const std::size_t count = random() % 9;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t at = random() % bytes.size();
      const std::size_t most = random() % 4 == 0 ? bytes.size() - at : 300;
      messages.push_back(all.subspan(at, random() % (std::min(most, bytes.size() - at) + 1)));
    }
    check(messages);
  }
}
