// An object that is asked for while it is on its way is waited for, not fetched twice.
#include "core/data/chunk_fetcher.hpp"

#include "core/base/log.hpp"
#include "core/base/time.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::data {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::uint64_t max_range = 2u << 20, max_gap = 64 * 1024;
constexpr std::uint64_t first_neighbourhood = 256 * 1024;
constexpr std::uint64_t least_range = 256 * 1024;
constexpr milliseconds slow_range{4'000}, quick_range{1'000};
constexpr std::size_t max_streams = 16;
constexpr std::size_t most_damaged = 1u << 16;
constexpr std::size_t each_costs = 256; // to be remembered, beside its bytes
constexpr std::size_t local_job = 1u << 20;
constexpr milliseconds first_pause{500}, longest_pause{10'000}, between_openings{2'000};
constexpr milliseconds look_up{100};

thread_local const std::function<bool()>* cancellation = nullptr;

std::uint64_t end_of(const Location& location) {
  return location.entry.offset + entry_header_size + location.entry.stored_size;
}

} // namespace

CancelScope::CancelScope(std::function<bool()> cancelled)
    : cancelled_(std::move(cancelled)), outer_(cancellation) {
  cancellation = &cancelled_;
}
CancelScope::~CancelScope() {
  cancellation = outer_;
}

ChunkFetcher::ChunkFetcher(std::shared_ptr<ObjectStore> local, ChunkCache* cache,
                           OpenRemoteStore open_remote, FetchOptions options)
    : cache_(cache), open_remote_(std::move(open_remote)), options_(options),
      local_(std::move(local)) {
  for (unsigned i = 0; i < std::max(1u, options_.threads); ++i)
    threads_.emplace_back([this] { work(); });
}

ChunkFetcher::~ChunkFetcher() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  ready_.notify_all();
  for (auto& thread : threads_)
    thread.join();
}

std::shared_ptr<ObjectStore> ChunkFetcher::local() const {
  const std::lock_guard lock(remote_mutex_);
  return local_;
}

void ChunkFetcher::use_local(std::shared_ptr<ObjectStore> local) {
  const std::lock_guard lock(remote_mutex_);
  local_ = std::move(local);
  damaged_.clear();
}

ChunkFetcher::Chunk ChunkFetcher::remembered(const Digest& id) {
  const auto found = in_memory_.find(id);
  if (found == in_memory_.end()) return nullptr;
  memory_.splice(memory_.begin(), memory_, found->second);
  return found->second->second;
}

void ChunkFetcher::remember(const Digest& id, Chunk chunk) {
  if (in_memory_.contains(id)) return;
  memory_bytes_ += chunk->size() + each_costs;
  memory_.emplace_front(id, std::move(chunk));
  in_memory_.emplace(id, memory_.begin());
  while (memory_bytes_ > options_.memory && memory_.size() > 1) {
    memory_bytes_ -= memory_.back().second->size() + each_costs;
    in_memory_.erase(memory_.back().first);
    memory_.pop_back();
  }
}

bool ChunkFetcher::is_damaged(const Digest& id) const {
  const std::lock_guard lock(remote_mutex_);
  return damaged_.contains(id);
}

void ChunkFetcher::set_damaged(const Digest& id) {
  const std::lock_guard lock(remote_mutex_);
  if (damaged_.size() >= most_damaged) damaged_.clear();
  damaged_.insert(id);
}

// nullptr if it is neither in the store nor in the cache. What is damaged in the store is looked
// for elsewhere, and is the error only if there is no elsewhere.
ChunkFetcher::Chunk ChunkFetcher::from_here(const Digest& id) {
  auto plain = std::make_shared<Bytes>();
  if (const auto store = local(); store->has(id) && !is_damaged(id)) {
    try {
      store->read(id, *plain);
      return plain;
    } catch (const Error& error) {
      const bool elsewhere = (cache_ != nullptr && cache_->has(id)) || open_remote_;
      if (!elsewhere) throw;
      set_damaged(id);
      log_warning(fmt::format("{}; it is read from the remote", error.message()));
    }
  }
  if (cache_ != nullptr && cache_->read(id, *plain)) return plain;
  return nullptr;
}

ChunkFetcher::Chunk ChunkFetcher::get(const Digest& id) {
  std::shared_ptr<Slot> slot;
  {
    const std::lock_guard lock(mutex_);
    if (Chunk chunk = remembered(id)) return chunk;
    if (const auto found = on_the_way_.find(id); found != on_the_way_.end()) slot = found->second;
  }
  if (slot) {
    try {
      return wait(id, slot);
    } catch (const Error& error) { // damage that was read before it was asked for may be gone
      if (error.kind() != ErrorKind::integrity) throw;
    }
  }
  if (Chunk chunk = from_here(id)) {
    const std::lock_guard lock(mutex_);
    remember(id, chunk);
    return chunk;
  }
  {
    const std::lock_guard lock(mutex_);
    if (Chunk chunk = remembered(id)) return chunk;
    auto& there = on_the_way_[id];
    if (!there) {
      there = std::make_shared<Slot>();
      urgent_.push_back({{id, std::nullopt, there}});
      work_.notify_one();
    }
    slot = there;
  }
  return wait(id, slot);
}

ChunkFetcher::Chunk ChunkFetcher::wait(const Digest& id, const std::shared_ptr<Slot>& slot) {
  const auto begun = Clock::now();
  std::unique_lock lock(mutex_);
  if (slot->ahead != 0 && !slot->done) { // somebody waits now: to the front
    const auto job = std::find_if(ahead_.begin(), ahead_.end(), [&](const Job& queued) {
      return std::any_of(queued.begin(), queued.end(),
                         [&](const Wanted& wanted) { return wanted.slot == slot; });
    });
    if (job != ahead_.end()) {
      urgent_.push_back(std::move(*job));
      ahead_.erase(job);
    }
  }
  while (!slot->done) {
    ready_.wait_for(lock, look_up);
    if (slot->done) break;
    if (stopping_) throw Error(ErrorKind::interrupted, "interrupted");
    if (cancellation != nullptr && (*cancellation)())
      throw Error(ErrorKind::interrupted, "interrupted");
    if (Clock::now() > std::max(begun, last_arrival_) + options_.patience) {
      lock.unlock();
      const Error late(ErrorKind::unreachable,
                       fmt::format("object '{}' did not come within {}", id.short_hex(),
                                   format_duration(options_.patience)));
      remote_failed(late);
      throw late;
    }
  }
  if (slot->error) throw Error(*slot->error);
  return slot->chunk;
}

void ChunkFetcher::read(const Digest& id, Bytes& plain) {
  plain = *get(id);
}

std::uint64_t ChunkFetcher::share() const {
  return std::max<std::uint64_t>(options_.memory / 2 / std::max(1u, readers_.load()),
                                 max_range / 2);
}

std::size_t ChunkFetcher::read_ahead(std::span<const Ref> chunks, bool remote_only) {
  std::shared_ptr<RemoteStore> remote;
  std::shared_ptr<ObjectStore> store;
  {
    const std::lock_guard lock(remote_mutex_);
    remote = remote_;
    store = local_;
    if (pause_.count() != 0) remote.reset();
  }
  const std::lock_guard lock(mutex_);
  Job local, range;
  std::size_t local_bytes = 0;
  const auto send = [&](Job& job) {
    if (job.empty()) return;
    ahead_.push_back(std::move(job));
    job.clear();
    work_.notify_one();
  };
  std::size_t looked_at = 0;
  for (const Ref& ref : chunks) {
    if (ahead_bytes_ + ref.size > options_.ahead) break;
    ++looked_at;
    if (in_memory_.contains(ref.id) || on_the_way_.contains(ref.id)) continue;
    Wanted wanted{ref.id, std::nullopt, std::make_shared<Slot>()};
    wanted.slot->ahead = static_cast<std::size_t>(ref.size);
    const bool here = store->has(ref.id) || (cache_ != nullptr && cache_->has(ref.id));
    if (here && remote_only) continue;
    if (!here) {
      if (remote) wanted.location = remote->find(ref.id);
      if (!wanted.location) continue;
    }
    on_the_way_.emplace(ref.id, wanted.slot);
    ahead_bytes_ += wanted.slot->ahead;
    if (here) {
      local_bytes += wanted.slot->ahead;
      local.push_back(std::move(wanted));
      if (local_bytes >= local_job) {
        send(local);
        local_bytes = 0;
      }
      continue;
    }
    if (!range.empty()) {
      const Location& first = *range.front().location;
      const Location& last = *range.back().location;
      const Location& next = *wanted.location;
      const bool joins = next.pack == first.pack && next.entry.offset >= end_of(last) &&
                         next.entry.offset <= end_of(last) + max_gap &&
                         end_of(next) - first.entry.offset <= range_limit_.load();
      if (!joins) send(range);
    }
    range.push_back(std::move(wanted));
  }
  send(local);
  send(range);
  return looked_at;
}

void ChunkFetcher::work() {
  for (;;) {
    std::unique_lock lock(mutex_);
    work_.wait(lock, [&] { return stopping_ || !urgent_.empty() || !ahead_.empty(); });
    if (stopping_) return;
    auto& queue = urgent_.empty() ? ahead_ : urgent_;
    Job job = std::move(queue.front());
    queue.pop_front();
    lock.unlock();
    run(std::move(job));
  }
}

void ChunkFetcher::run(Job job) {
  if (job.empty()) { // warm_up()
    try {
      (void)remote();
    } catch (const std::exception&) { // remote() has told of it
    }
    return;
  }
  if (job.front().location) {
    std::shared_ptr<RemoteStore> remote;
    {
      const std::lock_guard lock(remote_mutex_);
      remote = remote_;
    }
    try {
      if (remote) {
        read_range(job, *remote);
        return;
      }
    } catch (const Error& error) { // one by one then: what is here by now is found
      remote_failed(error);
    } catch (const std::exception&) { // no memory for a range
    }
  }
  for (const Wanted& wanted : job)
    if (!wanted.slot->done) fetch_one(wanted); // only this thread sets it
}

// Objects of one pack that lie together, in one read. Throws before any of them is done, or for
// none.
void ChunkFetcher::read_range(const Job& job, RemoteStore& remote) {
  check_remote_rests();
  thread_local Bytes range;
  const std::uint64_t start = job.front().location->entry.offset;
  range.resize(static_cast<std::size_t>(end_of(*job.back().location) - start));
  const auto begun = Clock::now();
  range.resize(remote.storage().read(pack_name(job.front().location->pack), start, range));
  remote_answered();
  // Over a slow line smaller ranges, so that what is waited for comes in time.
  const auto took = Clock::now() - begun;
  if (took > slow_range)
    range_limit_ = std::max(range_limit_ / 2, least_range);
  else if (took < quick_range)
    range_limit_ = std::min(range_limit_ * 2, max_range);
  for (const Wanted& wanted : job) {
    const PackEntry& entry = wanted.location->entry;
    const auto offset = static_cast<std::size_t>(entry.offset - start) + entry_header_size;
    const ByteSpan stored =
        offset >= range.size()
            ? ByteSpan()
            : ByteSpan(range).subspan(
                  offset, std::min<std::size_t>(entry.stored_size, range.size() - offset));
    auto plain = std::make_shared<Bytes>();
    try {
      check_stored(entry, stored, *plain);
    } catch (const Error&) {
      continue; // fetch_one() reads it again and says what is wrong
    }
    if (cache_ != nullptr) cache_->add(entry, stored);
    finish(wanted, std::move(plain));
  }
  for (const Wanted& wanted : job)
    if (!wanted.slot->done) fetch_one(wanted);
}

void ChunkFetcher::fetch_one(const Wanted& wanted) {
  try {
    if (Chunk chunk = from_here(wanted.id)) {
      finish(wanted, std::move(chunk));
      return;
    }
    auto plain = std::make_shared<Bytes>();
    if (!open_remote_) {
      local()->read(wanted.id, *plain); // as a rule throws the error that says how to fetch it
      finish(wanted, std::move(plain));
      return;
    }
    check_remote_rests();
    const auto attempt = [&](RemoteStore& remote) {
      const auto location = remote.find(wanted.id);
      if (!location)
        throw Error(ErrorKind::not_found,
                    fmt::format("object '{}' is not at '{}'", wanted.id.short_hex(),
                                remote.storage().location()))
            .with_hint("run 'mlp data push' where the data was added");
      if (location->kind == PackKind::data) {
        read_with_neighbours(*location, remote, *plain);
      } else {
        thread_local Bytes stored;
        remote.read_stored(*location, stored, *plain);
        if (cache_ != nullptr) cache_->add(location->entry, stored);
      }
    };
    std::shared_ptr<RemoteStore> store = remote();
    try {
      attempt(*store);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::not_found) throw;
      // What lies where may have changed since the remote was listed.
      {
        const std::lock_guard lock(remote_mutex_);
        if (Clock::now() < opened_ + between_openings) throw;
      }
      attempt(*remote(true));
    }
    remote_answered();
    finish(wanted, std::move(plain));
  } catch (const Error& error) {
    remote_failed(error);
    finish(wanted, nullptr, error);
  } catch (const std::exception& error) {
    finish(wanted, nullptr, Error(ErrorKind::failed, error.what()));
  }
}

// How much of a pack to read from a location on: more and more where reading goes on in a pack,
// only the object itself elsewhere.
std::uint64_t ChunkFetcher::neighbourhood(const Location& location) {
  const std::uint64_t offset = location.entry.offset;
  const std::lock_guard lock(streams_mutex_);
  const auto stream = std::find_if(streams_.begin(), streams_.end(), [&](const Stream& s) {
    return s.pack == location.pack && offset >= s.next && offset <= s.next + max_gap;
  });
  Stream now{location.pack, 0, 0};
  if (stream != streams_.end()) {
    now.size =
        stream->size == 0 ? first_neighbourhood : std::min(4 * stream->size, range_limit_.load());
    streams_.erase(stream);
  } else if (streams_.size() >= max_streams) {
    streams_.pop_front();
  }
  const std::uint64_t size = std::max(now.size, end_of(location) - offset);
  now.next = offset + size;
  streams_.push_back(now);
  return size;
}

// The entries that follow in the pack tell themselves what they are, so that no index is asked.
void ChunkFetcher::read_with_neighbours(const Location& location, RemoteStore& remote,
                                        Bytes& plain) {
  thread_local Bytes range;
  const std::uint64_t start = location.entry.offset;
  range.resize(static_cast<std::size_t>(neighbourhood(location)));
  range.resize(remote.storage().read(pack_name(location.pack), start, range));
  const ByteSpan all(range);
  std::size_t at = entry_header_size + location.entry.stored_size;
  const ByteSpan stored =
      all.size() < entry_header_size
          ? ByteSpan()
          : all.subspan(entry_header_size, std::min(all.size(), at) - entry_header_size);
  try {
    check_stored(location.entry, stored, plain);
  } catch (Error& error) {
    error.add_context(fmt::format("while reading pack '{}' at '{}'", location.pack.short_hex(),
                                  remote.storage().location()));
    error.add_hint("run 'mlp data verify --remote' to see what is affected");
    throw;
  }
  if (cache_ != nullptr) cache_->add(location.entry, stored);
  try {
    while (at + entry_header_size <= all.size()) {
      const PackEntry entry = parse_entry_header(all.subspan(at, entry_header_size), start + at);
      const ByteSpan bytes = all.subspan(at + entry_header_size);
      if (bytes.size() < entry.stored_size) break;
      auto neighbour = std::make_shared<Bytes>();
      check_stored(entry, bytes.first(entry.stored_size), *neighbour);
      if (cache_ != nullptr) cache_->add(entry, bytes.first(entry.stored_size));
      const std::lock_guard lock(mutex_);
      remember(entry.id, std::move(neighbour));
      at += entry_header_size + entry.stored_size;
    }
  } catch (const Error&) { // the pack's index, or damage that nobody asked for
    return;
  }
  const std::lock_guard lock(streams_mutex_);
  for (Stream& stream : streams_) // goes on with the entry that was cut
    if (stream.pack == location.pack && stream.next == start + all.size()) stream.next = start + at;
}

void ChunkFetcher::finish(const Wanted& wanted, Chunk chunk, std::optional<Error> error) {
  {
    const std::lock_guard lock(mutex_);
    Slot& slot = *wanted.slot;
    slot.chunk = std::move(chunk);
    slot.error = std::move(error);
    slot.done = true;
    ahead_bytes_ -= slot.ahead;
    on_the_way_.erase(wanted.id);
    if (slot.chunk) {
      remember(wanted.id, slot.chunk);
      last_arrival_ = Clock::now();
    }
  }
  ready_.notify_all();
}

void ChunkFetcher::warm_up() {
  if (!open_remote_) return;
  const std::lock_guard lock(mutex_);
  urgent_.push_back({});
  work_.notify_one();
}

std::shared_ptr<RemoteStore> ChunkFetcher::remote(bool fresh) {
  if (!open_remote_) return nullptr;
  const auto asked = Clock::now();
  const std::lock_guard opening(open_mutex_);
  {
    const std::lock_guard lock(remote_mutex_);
    if (remote_ && (!fresh || opened_ > asked)) return remote_;
    // Who waited for another's attempt that failed does not try in turn.
    if (pause_.count() != 0 && rests_until_ - pause_ > asked) throw Error(*reason_);
  }
  try {
    std::shared_ptr<RemoteStore> opened = open_remote_();
    remote_answered();
    const std::lock_guard lock(remote_mutex_);
    remote_ = std::move(opened);
    opened_ = Clock::now();
    return remote_;
  } catch (const Error& error) {
    remote_failed(error);
    throw;
  }
}

// Throws the error that the remote gave last while it is left alone.
void ChunkFetcher::check_remote_rests() {
  const std::lock_guard lock(remote_mutex_);
  if (pause_.count() != 0 && Clock::now() < rests_until_) throw Error(*reason_);
}

void ChunkFetcher::remote_failed(const Error& error) {
  // A damaged or missing object says nothing of the rest.
  if (error.kind() == ErrorKind::integrity || error.kind() == ErrorKind::not_found ||
      error.kind() == ErrorKind::interrupted)
    return;
  const std::lock_guard lock(remote_mutex_);
  const auto now = Clock::now();
  if (pause_.count() != 0 && now < rests_until_) return; // told already
  pause_ = pause_.count() == 0 ? first_pause : std::min(2 * pause_, longest_pause);
  rests_until_ = now + pause_;
  reason_ = error;
}

void ChunkFetcher::remote_answered() {
  const std::lock_guard lock(remote_mutex_);
  if (pause_.count() == 0) return;
  pause_ = milliseconds(0);
  reason_.reset();
  log_info("the remote answers again");
}

} // namespace mlp::data
