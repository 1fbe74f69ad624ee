// The order is all: first the own ref, then the look for others.
#include "core/data/remote_claim.hpp"

#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/json.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"
#include "core/base/time.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <thread>

namespace mlp::data {

namespace {

using namespace std::chrono_literals;

constexpr auto lifetime = 1h;
constexpr auto renewal = 5min;
constexpr auto poll = 500ms;
constexpr std::size_t listed_at_once = 1000;
constexpr std::string_view pushes = "refs/pushes/";
constexpr std::string_view collection = "refs/gc";

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "";
  return name.data();
}

std::string claim_text() {
  return json_object({{"host", host_name()}, {"time", format_time(wall_now())}}).dump() + "\n";
}

struct Owner {
  std::string host;
  WallTime time;
};
// A text that makes no sense counts as just written.
Owner parse_owner(const std::string& text) {
  try {
    const Json json = parse_json(text, "a claim");
    const auto time = parse_time(json_string(json, "time", "a claim"));
    return {json_string(json, "host", "a claim"), time ? *time : wall_now()};
  } catch (const Error&) {
    return {"unknown", wall_now()};
  }
}

} // namespace

RemoteClaim::RemoteClaim(Storage& storage, ClaimKind kind, std::chrono::seconds patience,
                         const std::stop_token& stop)
    : storage_(storage), kind_(kind),
      name_(kind == ClaimKind::push ? std::string(pushes) + random_token(16)
                                    : std::string(collection)) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    throw_if_stopped(stop);
    std::string in_the_way;
    if (take()) {
      try {
        in_the_way = blocker();
      } catch (...) {
        (void)storage_.compare_and_swap(name_, text_, std::nullopt);
        throw;
      }
      if (in_the_way.empty()) return;
      (void)storage_.compare_and_swap(name_, text_, std::nullopt);
    } else {
      in_the_way = "another 'mlp data gc --remote'";
    }
    if (std::chrono::steady_clock::now() >= deadline)
      throw Error(ErrorKind::conflict,
                  fmt::format("'{}' is in use by {}", storage_.location(), in_the_way))
          .with_hint("wait for it to end, then run this command again; what one that died left "
                     "behind counts for an hour");
    std::this_thread::sleep_for(poll);
  }
}

// Writes the own ref. False if there is one already, which only a collection meets.
bool RemoteClaim::take() {
  text_ = claim_text();
  renewed_ = std::chrono::steady_clock::now();
  const SwapResult result = storage_.compare_and_swap(name_, std::nullopt, text_);
  if (result.swapped) return true;
  if (result.current && wall_now() - parse_owner(*result.current).time > lifetime)
    (void)storage_.compare_and_swap(name_, result.current, std::nullopt);
  return false;
}

// Who of the other kind is at work, in words; empty if nobody is. Removes what the dead left.
std::string RemoteClaim::blocker() {
  const auto look_at = [&](const std::string& name) -> std::string {
    const auto text = storage_.read_ref(name);
    if (!text) return "";
    const Owner owner = parse_owner(*text);
    if (wall_now() - owner.time > lifetime &&
        storage_.compare_and_swap(name, text, std::nullopt).swapped) {
      log_warning(fmt::format("removed the claim '{}' of '{}', which is an hour old", name,
                              printable(owner.host)));
      return "";
    }
    return fmt::format("{} of host '{}'", kind_ == ClaimKind::push ? "'mlp data gc'" : "a push",
                       printable(owner.host));
  };
  if (kind_ == ClaimKind::push) return look_at(std::string(collection));
  std::string after;
  for (bool more = true; more;) {
    const ListPage page = storage_.list(pushes, after, listed_at_once);
    for (const ListedObject& object : page.objects)
      if (std::string who = look_at(object.name); !who.empty()) return who;
    more = page.more && !page.objects.empty();
    if (more) after = page.objects.back().name;
  }
  return "";
}

RemoteClaim::~RemoteClaim() {
  try {
    (void)storage_.compare_and_swap(name_, text_, std::nullopt);
  } catch (const std::exception& error) {
    log_info(fmt::format("the claim '{}' stays for an hour: {}", name_, error.what()));
  }
}

void RemoteClaim::renew() {
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (now - renewed_ < renewal) return;
  std::string text = claim_text();
  if (storage_.compare_and_swap(name_, text_, text).swapped) text_ = std::move(text);
  renewed_ = now;
}

bool RemoteClaim::held() {
  const std::lock_guard lock(mutex_);
  return storage_.read_ref(name_) == text_;
}

} // namespace mlp::data
