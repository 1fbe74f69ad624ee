// A checkpoint is written beside the old one and renamed; reading it trusts no length or number.
#include "core/train/checkpoint.hpp"

#include "core/base/error.hpp"
#include "core/base/fs.hpp"

#include <bit>
#include <cstring>
#include <string>
#include <type_traits>

namespace mlp::train {

namespace {

static_assert(std::endian::native == std::endian::little, "the file is little-endian");

constexpr char kMagic[] = {'m', 'l', 'p', 'c', 'k', 'p', 't'};
constexpr char kFormat = 1;
// Parameters, two moments and the best parameters of the largest network, and some more.
constexpr std::uint64_t kMaxBytes = std::uint64_t{18} << 30;

class Writer {
 public:
  explicit Writer(File& file) : file_(file) {}
  void bytes(const void* data, std::size_t size) {
    const std::span<const std::byte> view(static_cast<const std::byte*>(data), size);
    digest_.update(view);
    file_.write(view);
  }
  template <class T>
  void value(const T& v) {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes(&v, sizeof v);
  }
  void floats(const std::vector<float>& v) {
    value(static_cast<std::uint64_t>(v.size()));
    bytes(v.data(), v.size() * sizeof(float));
  }
  void finish() {
    const Digest digest = digest_.finish();
    file_.write(std::as_bytes(std::span(digest.bytes)));
  }

 private:
  File& file_;
  Sha256 digest_;
};

class Reader {
 public:
  Reader(File& file, const std::string& name) : file_(file), name_(name), left_(file.size()) {
    if (left_ > kMaxBytes) damaged("it is too large");
    if (left_ < sizeof(Digest)) damaged("it is cut short");
    left_ -= sizeof(Digest);
  }
  void bytes(void* data, std::size_t size) {
    if (size > left_) damaged("it is cut short");
    left_ -= size;
    raw(data, size);
    digest_.update(std::span(static_cast<const std::byte*>(data), size));
  }
  template <class T>
  T value() {
    T v;
    bytes(&v, sizeof v);
    return v;
  }
  std::vector<float> floats() {
    const auto size = value<std::uint64_t>();
    if (size > left_ / sizeof(float)) damaged("it is cut short");
    std::vector<float> v(size);
    bytes(v.data(), size * sizeof(float));
    return v;
  }
  void finish() {
    if (left_ != 0) damaged("it is too long");
    Digest stored;
    raw(stored.bytes.data(), stored.bytes.size());
    if (stored != digest_.finish()) damaged("its digest does not match");
  }
  [[noreturn]] void damaged(const std::string& why) const {
    throw Error(ErrorKind::integrity, "checkpoint '" + name_ + "' is damaged: " + why)
        .with_hint("remove it to train from the beginning");
  }

 private:
  void raw(void* data, std::size_t size) {
    std::span<std::byte> rest(static_cast<std::byte*>(data), size);
    while (!rest.empty()) {
      const std::size_t n = file_.read(rest);
      if (n == 0) damaged("it is cut short");
      rest = rest.subspan(n);
    }
  }

  File& file_;
  std::string name_;
  std::uint64_t left_;
  Sha256 digest_;
};

} // namespace

void write_checkpoint(const std::filesystem::path& path, const Checkpoint& c) {
  AtomicFile target(path);
  Writer out(target.file());
  out.bytes(kMagic, sizeof kMagic);
  out.value(kFormat);
  out.value(c.identity.bytes);
  out.value(c.epoch);
  out.value(c.samples);
  out.value(c.step);
  out.value(c.stats);
  out.value(c.seconds);
  out.value(c.stopping.best);
  out.value(c.stopping.best_epoch);
  out.value(c.stopping.reference);
  out.value(c.stopping.reference_epoch);
  for (const auto* array :
       {&c.values, &c.statistics, &c.optimizer, &c.best_values, &c.best_statistics})
    out.floats(*array);
  out.finish();
  target.commit();
}

std::optional<Checkpoint> read_checkpoint(const std::filesystem::path& path,
                                          const Digest& identity) {
  File file;
  try {
    file = File::open_read(path);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::not_found) return std::nullopt;
    throw;
  }
  const std::string name = path.string();
  Reader in(file, name);
  char magic[sizeof kMagic];
  in.bytes(magic, sizeof magic);
  if (std::memcmp(magic, kMagic, sizeof magic) != 0) in.damaged("it is not a checkpoint");
  if (const auto format = in.value<char>(); format != kFormat)
    throw Error(ErrorKind::failed, "checkpoint '" + name + "' has format " +
                                       std::to_string(static_cast<int>(format)) +
                                       ", this version of mlp reads format " +
                                       std::to_string(static_cast<int>(kFormat)))
        .with_hint(
            "use the version of mlp that wrote it, or remove it to train from the beginning");
  Checkpoint c;
  in.bytes(c.identity.bytes.data(), c.identity.bytes.size());
  c.epoch = in.value<std::int64_t>();
  c.samples = in.value<std::int64_t>();
  c.step = in.value<std::uint64_t>();
  c.stats = in.value<kernels::LossStats>();
  c.seconds = in.value<double>();
  c.stopping.best = in.value<double>();
  c.stopping.best_epoch = in.value<std::int64_t>();
  c.stopping.reference = in.value<double>();
  c.stopping.reference_epoch = in.value<std::int64_t>();
  for (auto* array : {&c.values, &c.statistics, &c.optimizer, &c.best_values, &c.best_statistics})
    *array = in.floats();
  in.finish();
  if (c.identity != identity)
    throw Error(ErrorKind::conflict,
                "checkpoint '" + name + "' is of a training with other settings or data")
        .with_hint("remove it to train from the beginning");
  return c;
}

} // namespace mlp::train
