// One call of OpenSSL's AES-256-GCM each way, and the header around it.
#include "core/secret/sealed.hpp"

#include "core/base/digest.hpp"
#include "core/base/error.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace mlp::secret {

namespace {

constexpr std::string_view magic = "mlps";
constexpr char version = 1;
constexpr std::size_t header_bytes = 16; // magic, version, 3 zero, id of the key
constexpr std::size_t nonce_bytes = 12, tag_bytes = 16;
static_assert(max_sealed_bytes == max_value_bytes + header_bytes + nonce_bytes + tag_bytes);

using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&::EVP_CIPHER_CTX_free)>;

unsigned char* bytes_of(std::string& text, std::size_t at) {
  return reinterpret_cast<unsigned char*>(text.data()) + at;
}
const unsigned char* bytes_of(std::string_view text, std::size_t at = 0) {
  return reinterpret_cast<const unsigned char*>(text.data()) + at;
}

Error library_failed() {
  return {ErrorKind::failed, "OpenSSL has no AES-256-GCM here"};
}

std::string header_of(const Key& key) {
  std::string header(magic);
  header += version;
  header.append(3, '\0');
  for (const std::uint8_t byte : key.id())
    header += static_cast<char>(byte);
  return header;
}

Error damaged(std::string_view name, std::string_view what) {
  return Error(ErrorKind::integrity, fmt::format("secret '{}' {}", name, what))
      .with_hint(fmt::format("set it again: mlp secret set {}", name));
}

// A context with key and nonce set, and header and name taken in as associated data.
Context begin(const Key& key, std::string_view name, std::string_view header,
              const unsigned char* nonce, bool encrypt) {
  Context context(::EVP_CIPHER_CTX_new(), ::EVP_CIPHER_CTX_free);
  int taken = 0;
  if (!context ||
      ::EVP_CipherInit_ex(context.get(), ::EVP_aes_256_gcm(), nullptr, key.bytes().data(), nonce,
                          encrypt ? 1 : 0) != 1 ||
      ::EVP_CipherUpdate(context.get(), nullptr, &taken, bytes_of(header),
                         static_cast<int>(header.size())) != 1 ||
      ::EVP_CipherUpdate(context.get(), nullptr, &taken, bytes_of(name),
                         static_cast<int>(name.size())) != 1)
    throw library_failed();
  return context;
}

} // namespace

Key::~Key() {
  ::explicit_bzero(bytes_.data(), bytes_.size());
}

std::array<std::uint8_t, 8> Key::id() const {
  Sha256 hash;
  hash.update("mlp secret key\n");
  hash.update(std::as_bytes(std::span(bytes_)));
  const Digest digest = hash.finish();
  std::array<std::uint8_t, 8> id{};
  std::copy_n(digest.bytes.begin(), id.size(), id.begin());
  return id;
}

void fill_random(std::span<std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::getrandom(bytes.data(), bytes.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw system_error(errno, "get", "random bytes");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

std::string seal(const Key& key, std::string_view name, std::string_view value) {
  if (value.empty() || value.size() > max_value_bytes)
    throw Error(ErrorKind::usage, fmt::format("a secret of {} bytes cannot be kept", value.size()))
        .with_hint(fmt::format("from 1 to {} bytes", max_value_bytes));
  std::array<std::uint8_t, nonce_bytes> nonce{};
  fill_random(nonce);
  std::string file = header_of(key);
  const Context context = begin(key, name, file, nonce.data(), true);
  const std::size_t text = header_bytes + nonce_bytes;
  file.append(reinterpret_cast<const char*>(nonce.data()), nonce.size());
  file.resize(text + value.size() + tag_bytes);
  int written = 0, rest = 0;
  if (::EVP_CipherUpdate(context.get(), bytes_of(file, text), &written, bytes_of(value),
                         static_cast<int>(value.size())) != 1 ||
      ::EVP_CipherFinal_ex(context.get(), bytes_of(file, text + value.size()), &rest) != 1 ||
      ::EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, tag_bytes,
                            bytes_of(file, text + value.size())) != 1)
    throw library_failed();
  return file;
}

std::string unseal(const Key& key, std::string_view name, std::string_view file) {
  constexpr std::size_t around = header_bytes + nonce_bytes + tag_bytes;
  if (file.size() >= header_bytes && file.starts_with(magic) && file[magic.size()] > version)
    throw Error(ErrorKind::integrity,
                fmt::format("secret '{}' was written by a newer version of mlp", name))
        .with_hint("use that version");
  if (file.size() <= around || file.size() > max_sealed_bytes || !file.starts_with(magic))
    throw damaged(name, "is damaged: this is no file of a secret");
  const std::string wanted = header_of(key);
  if (file.substr(0, 8) != std::string_view(wanted).substr(0, 8))
    throw damaged(name, "is damaged: its header is wrong");
  if (file.substr(0, header_bytes) != wanted)
    throw Error(ErrorKind::integrity, fmt::format("secret '{}' belongs to another key", name))
        .with_hint(fmt::format("bring that key back, or set it again: mlp secret set {}", name));
  const std::size_t size = file.size() - around;
  const std::size_t text = header_bytes + nonce_bytes;
  const Context context =
      begin(key, name, file.substr(0, header_bytes), bytes_of(file, header_bytes), false);
  std::string value(size, '\0');
  std::string tag(file.substr(text + size));
  int written = 0, rest = 0;
  if (::EVP_CipherUpdate(context.get(), bytes_of(value, 0), &written, bytes_of(file, text),
                         static_cast<int>(size)) != 1 ||
      ::EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, tag_bytes, bytes_of(tag, 0)) != 1)
    throw library_failed();
  unsigned char none[16];
  if (::EVP_CipherFinal_ex(context.get(), none, &rest) != 1) {
    ::explicit_bzero(value.data(), value.size());
    throw damaged(name, "is damaged, or was put in another one's place");
  }
  return value;
}

} // namespace mlp::secret
