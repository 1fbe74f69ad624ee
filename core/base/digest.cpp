// SHA-256 through OpenSSL's low-level transform: no provider to fetch, so no start-up cost.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "core/base/digest.hpp"

#include "core/base/digest_lanes.hpp"

#include <openssl/sha.h>

#include <algorithm>

namespace mlp {

struct Sha256::State {
  SHA256_CTX context;
};

namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

} // namespace

std::string Digest::hex() const {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text(64, '0');
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    text[2 * i] = digits[bytes[i] >> 4];
    text[2 * i + 1] = digits[bytes[i] & 15];
  }
  return text;
}

std::string Digest::text() const {
  return "sha256:" + hex();
}
std::string Digest::short_hex() const {
  return hex().substr(0, 12);
}

std::optional<Digest> parse_digest(std::string_view text) {
  if (text.starts_with("sha256:")) text.remove_prefix(7);
  if (text.size() != 64) return std::nullopt;
  Digest digest;
  for (std::size_t i = 0; i < digest.bytes.size(); ++i) {
    const int high = hex_value(text[2 * i]);
    const int low = hex_value(text[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    digest.bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return digest;
}

Sha256::Sha256() : state_(std::make_unique<State>()) {
  SHA256_Init(&state_->context);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> data) {
  SHA256_Update(&state_->context, data.data(), data.size());
}

void Sha256::update(std::string_view text) {
  update(std::as_bytes(std::span(text)));
}

Digest Sha256::finish() {
  Digest digest;
  SHA256_Final(digest.bytes.data(), &state_->context);
  SHA256_Init(&state_->context);
  return digest;
}

Digest sha256(std::span<const std::byte> data) {
  Digest digest;
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, data.data(), data.size());
  SHA256_Final(digest.bytes.data(), &context);
  return digest;
}

Digest sha256(std::string_view text) {
  return sha256(std::as_bytes(std::span(text)));
}

namespace {

constexpr std::size_t block_bytes = 64;

// A message on its way through one of the two lanes.
struct Lane {
  SHA256_CTX context;
  std::span<const std::byte> rest;
  std::size_t number = 0;

  Lane() { SHA256_Init(&context); }
  void begin(std::span<const std::byte> message, std::size_t at) {
    SHA256_Init(&context);
    rest = message;
    number = at;
  }
  [[nodiscard]] std::size_t blocks() const { return rest.size() / block_bytes; }
  // The blocks were taken into context.h: says so to OpenSSL, which does the rest.
  void passed(std::size_t blocks) {
    const std::uint64_t bits =
        ((static_cast<std::uint64_t>(context.Nh) << 32) | context.Nl) + blocks * block_bytes * 8;
    context.Nl = static_cast<SHA_LONG>(bits);
    context.Nh = static_cast<SHA_LONG>(bits >> 32);
    rest = rest.subspan(blocks * block_bytes);
  }
  Digest finish() {
    Digest digest;
    SHA256_Update(&context, rest.data(), rest.size());
    SHA256_Final(digest.bytes.data(), &context);
    return digest;
  }
};

} // namespace

void sha256_each(std::span<const std::span<const std::byte>> messages, std::span<Digest> digests) {
  if (messages.size() < 2 || !has_sha_instructions()) {
    for (std::size_t i = 0; i < messages.size(); ++i)
      digests[i] = sha256(messages[i]);
    return;
  }
  Lane a, b;
  std::size_t next = 2;
  a.begin(messages[0], 0);
  b.begin(messages[1], 1);
  while (true) {
    const std::size_t blocks = std::min(a.blocks(), b.blocks());
    if (blocks > 0) {
      compress_two_lanes(a.context.h, a.rest.data(), b.context.h, b.rest.data(), blocks);
      a.passed(blocks);
      b.passed(blocks);
    }
    if (next == messages.size()) break;
    Lane& done = a.blocks() == 0 ? a : b;
    digests[done.number] = done.finish();
    done.begin(messages[next], next);
    ++next;
  }
  digests[a.number] = a.finish();
  digests[b.number] = b.finish();
}

} // namespace mlp
