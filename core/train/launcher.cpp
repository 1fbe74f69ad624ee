// How an end is judged: a signal that we did not send means lost; an error of its own is the
// training's, unless it is the device of one rank that failed; "I have lost rank N" blames N.
#include "core/train/launcher.hpp"

#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/job/launch_environment.hpp"
#include "core/train/devices.hpp"
#include "core/train/engine.hpp"
#include "core/train/rank_lines.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace mlp::train {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kPoll = 20ms;
constexpr auto kGrace = 5s; // for the others to notice that one is gone

struct Ended {
  ProcessExit exit;
  std::optional<Error> error; // as the rank reported it
  int lost = -1;              // which other rank it blames
};

struct Child {
  Process process;
  fs::path status;
  std::optional<Ended> ended;
  bool killed = false; // by us
};

Ended read_end(const ProcessExit& exit, const fs::path& status) {
  Ended ended{exit, {}, -1};
  if (!fs::exists(status)) return ended;
  const Json report = parse_json(read_file(status), "a rank's report");
  ended.lost = static_cast<int>(json_int(report, "lost", "a rank's report"));
  Error error(static_cast<ErrorKind>(json_int(report, "kind", "a rank's report")),
              json_string(report, "message", "a rank's report"));
  for (const Json& hint : report.at("hints"))
    error.add_hint(hint.get<std::string>());
  for (const Json& context : report.at("contexts"))
    error.add_context(context.get<std::string>());
  ended.error = std::move(error);
  return ended;
}

std::string signal_name(int number) {
  const char* name = ::sigabbrev_np(number);
  return name == nullptr ? fmt::format("signal {}", number) : fmt::format("SIG{}", name);
}

struct Lost {
  int rank = -1;
  std::string reason;
};

// One start of all ranks.
class Attempt {
 public:
  Attempt(const RankLaunch& launch, const std::vector<int>& gpus, std::stop_token stop)
      : launch_(launch), gpus_(gpus), stop_(std::move(stop)) {}
  ~Attempt() { kill_rest(); }
  Attempt(const Attempt&) = delete;

  // nullopt: all is done. Throws the training's own error.
  std::optional<Lost> run() {
    start_all();
    std::optional<Clock::time_point> first_failure;
    while (!all_ended()) {
      std::this_thread::sleep_for(kPoll);
      pass_on_stop();
      for (Child& child : children_) {
        if (child.ended) continue;
        if (const auto exit = child.process.wait_for(0ms)) {
          child.ended = read_end(*exit, child.status);
          if (!ended_well(child) && !first_failure) first_failure = Clock::now();
        }
      }
      if (first_failure && !stop_.stop_requested() && Clock::now() - *first_failure >= kGrace)
        kill_rest();
    }
    lines_.finish();
    return judge();
  }

 private:
  void start_all() {
    const auto size = gpus_.size();
    std::map<std::string, std::string> environment = current_environment();
    environment["WORLD_SIZE"] = environment["LOCAL_WORLD_SIZE"] = std::to_string(size);
    environment["MASTER_ADDR"] = "127.0.0.1";
    environment["MASTER_PORT"] = std::to_string(job::free_ports(1));
    environment["MLP_RANK_TOKEN"] = random_token(32);
    environment["MLP_RANK_THREADS"] = std::to_string(threads_of_rank(launch_.threads, size));
    // NCCL connects when it starts, where that has a time limit, and not at the first sums.
    environment.try_emplace("NCCL_RUNTIME_CONNECT", "0");
    for (std::size_t rank = 0; rank < size; ++rank)
      start(rank, environment);
    lines_.begin();
  }
  void start(std::size_t rank, std::map<std::string, std::string> environment) {
    environment["RANK"] = environment["LOCAL_RANK"] = std::to_string(rank);
    environment["MLP_RANK_GPU"] = std::to_string(gpus_[rank]);
    fs::path status = folder_.path() / fmt::format("rank-{}.json", rank);
    environment["MLP_RANK_STATUS"] = status.native();
    ProcessSpec spec;
    spec.arguments = launch_.command;
    spec.environment = std::move(environment);
    spec.dies_with_parent = true;
    // Not in our process group: a signal to the group comes to it through us, once.
    spec.new_session = true;
    if (rank == 0) {
      spec.standard_output = STDOUT_FILENO;
      spec.standard_error = STDERR_FILENO;
      children_.push_back({Process::spawn(spec), std::move(status), {}});
      return;
    }
    const std::string prefix = fmt::format("[rank {}] ", rank);
    const File out = lines_.add(prefix, STDOUT_FILENO);
    const File err = lines_.add(prefix, STDERR_FILENO);
    spec.standard_output = out.fd();
    spec.standard_error = err.fd();
    children_.push_back({Process::spawn(spec), std::move(status), {}});
  }

  static bool ended_well(const Child& child) {
    return child.ended->exit.signal == 0 && child.ended->exit.code == 0;
  }
  [[nodiscard]] bool all_ended() const {
    return std::ranges::all_of(children_,
                               [](const Child& child) { return child.ended.has_value(); });
  }
  void pass_on_stop() {
    if (stop_passed_on_ || !stop_.stop_requested()) return;
    stop_passed_on_ = true;
    for (Child& child : children_)
      if (!child.ended) child.process.signal(SIGTERM);
  }
  void kill_rest() noexcept {
    for (Child& child : children_) {
      if (child.ended || child.killed) continue;
      child.killed = true;
      child.process.signal(SIGKILL);
    }
  }

  std::optional<Lost> judge() {
    if (std::ranges::all_of(children_, ended_well)) return std::nullopt;
    if (stop_.stop_requested())
      throw Error(ErrorKind::interrupted, "interrupted; a checkpoint is kept");
    const auto each = [&](auto&& body) {
      for (std::size_t rank = 0; rank < children_.size(); ++rank)
        if (auto lost =
                body(static_cast<int>(rank), *children_[rank].ended, children_[rank].killed))
          return lost;
      return std::optional<Lost>();
    };
    const auto own = [](int rank, const Ended& ended) {
      return ended.error && (ended.lost == -1 || ended.lost == rank);
    };
    // The training's own error: rank 0's, or one that is not of a single device.
    each([&](int rank, const Ended& ended, bool) -> std::optional<Lost> {
      if (own(rank, ended) && (rank == 0 || !all_others_blame(rank))) throw Error(*ended.error);
      return {};
    });
    if (auto lost = each([&](int rank, const Ended& ended, bool killed) -> std::optional<Lost> {
          if (killed || ended.error || (ended.exit.signal == 0 && ended.exit.code == 0)) return {};
          return Lost{rank, ended.exit.signal != 0
                                ? "it was ended by " + signal_name(ended.exit.signal)
                                : fmt::format("it ended with code {}", ended.exit.code)};
        }))
      return lost;
    return each([&](int, const Ended& ended, bool) -> std::optional<Lost> {
      if (!ended.error || ended.lost < 0 || ended.lost >= static_cast<int>(children_.size()))
        return {};
      return Lost{ended.lost, reason_of(ended.error->message())};
    });
  }

  [[nodiscard]] bool all_others_blame(int rank) const {
    for (std::size_t other = 0; other < children_.size(); ++other)
      if (static_cast<int>(other) != rank && children_[other].ended->lost != rank) return false;
    return children_.size() > 1;
  }
  // "rank 1 was lost: nothing was heard ..." without what our own sentence says.
  static std::string reason_of(const std::string& message) {
    const std::size_t at = message.find(": ");
    return at == std::string::npos ? message : message.substr(at + 2);
  }

  const RankLaunch& launch_;
  const std::vector<int>& gpus_;
  std::stop_token stop_;
  const TemporaryDirectory folder_;
  RankLines lines_;
  std::vector<Child> children_;
  bool stop_passed_on_ = false;
};

int number_of(const char* name) {
  const std::string text = get_env(name).value_or("");
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw Error(ErrorKind::config, fmt::format("{}='{}' is not a number", name, text));
  return value;
}

} // namespace

void run_ranks(const RankLaunch& launch, std::stop_token stop) {
  std::vector<int> gpus = launch.gpus;
  for (;;) {
    const auto lost = Attempt(launch, gpus, stop).run();
    if (!lost) return;
    const std::string what = fmt::format("rank {} was lost: {}", lost->rank, lost->reason);
    gpus.erase(gpus.begin() + lost->rank);
    if (gpus.empty()) throw Error(ErrorKind::failed, what);
    if (launch.on_message)
      launch.on_message(fmt::format("{}; goes on with {} rank{} from the last checkpoint", what,
                                    gpus.size(), gpus.size() == 1 ? "" : "s"));
  }
}

std::optional<RankPlace> rank_place() {
  const auto token = get_env("MLP_RANK_TOKEN");
  if (!token) return std::nullopt;
  ::unsetenv("MLP_RANK_TOKEN");
  RankPlace place;
  place.rank = number_of("RANK");
  place.size = number_of("WORLD_SIZE");
  place.gpu = number_of("MLP_RANK_GPU");
  place.threads = number_of("MLP_RANK_THREADS");
  place.status = get_env("MLP_RANK_STATUS").value_or("");
  place.meeting.rank = place.rank;
  place.meeting.size = place.size;
  place.meeting.address = get_env("MASTER_ADDR").value_or("127.0.0.1");
  place.meeting.port = static_cast<std::uint16_t>(number_of("MASTER_PORT"));
  place.meeting.token = *token;
  if (get_env("MLP_RANK_TIMEOUT")) place.meeting.silence_seconds = number_of("MLP_RANK_TIMEOUT");
  return place;
}

std::unique_ptr<kernels::Collective> join_ranks(const RankPlace& place) {
  if (place.size == 1) return nullptr;
  return with_device_errors([&] {
    return place.gpu < 0 ? kernels::make_ring(place.meeting)
                         : kernels::make_nccl(place.meeting, place.gpu);
  });
}

void report_end(const RankPlace& place, const Error& error, const kernels::Collective* collective) {
  const auto failure = collective != nullptr ? collective->failure() : std::nullopt;
  // An error of one's own may come while others have failed already.
  const bool blames_other = failure && error.message() == failure->reason;
  const Json report = json_object({{"kind", static_cast<int>(error.kind())},
                                   {"message", error.message()},
                                   {"hints", error.hints()},
                                   {"contexts", error.contexts()},
                                   {"lost", blames_other ? failure->rank : -1}});
  write_file_atomic(place.status, dump_json(report));
}

} // namespace mlp::train
