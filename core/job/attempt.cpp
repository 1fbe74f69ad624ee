// One loop around poll(2): signals come through a descriptor, everything else by time.
#include "core/job/attempt.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/job/gang.hpp"
#include "core/job/launch_environment.hpp"
#include "core/job/limits.hpp"
#include "core/job/machine_samples.hpp"
#include "core/job/metrics_intake.hpp"
#include "core/job/program_output.hpp"
#include "core/job/run_container.hpp"
#include "core/job/run_secrets.hpp"
#include "core/job/signals.hpp"
#include "core/job/tensorboard_intake.hpp"
#include "core/job/work.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <csignal>
#include <memory>

namespace mlp::job {

namespace {

using Clock = std::chrono::steady_clock;
using track::RunState;

constexpr std::chrono::milliseconds beat{200};
constexpr std::size_t most_programs = 256; // of a run, on one machine
constexpr const char* visible_devices = "CUDA_VISIBLE_DEVICES";

// What the programs are called, if there are several.
std::vector<std::string> process_names(const std::vector<Placement>& placements,
                                       config::RunPer run_per) {
  std::vector<std::string> out;
  for (const Placement& place : placements)
    out.push_back(placements.size() == 1            ? std::string()
                  : run_per == config::RunPer::node ? fmt::format("node {}", place.node)
                                                    : fmt::format("rank {}", place.rank()));
  return out;
}

class Attempt {
 public:
  explicit Attempt(RunContext& context) : context_(context) {}

  Outcome run() {
    Outcome outcome;
    try {
      outcome = work();
    } catch (const Error& error) {
      outcome = {RunState::failed, error.message(), std::nullopt, error.hints()};
    } catch (const std::exception& error) {
      outcome = {RunState::failed, error.what(), std::nullopt, {}};
    }
    kill_orphans();
    limits_.reset(); // its groups are empty now
    outcome.reason = masked(outcome.reason);
    for (std::string& hint : outcome.hints)
      hint = masked(hint);
    return outcome;
  }

 private:
  void warn(const std::string& message) noexcept {
    try {
      context_.writer.event("warning", json_object({{"message", masked(message)}}));
    } catch (const std::exception&) { // the disk is full: the program matters more
    }
  }

  [[nodiscard]] std::string masked(const std::string& text) const {
    return secrets_ ? secrets_->masked().mask(text) : text;
  }
  [[nodiscard]] const secret::MaskedValues* secret_values() const {
    return secrets_ && !secrets_->masked().empty() ? &secrets_->masked() : nullptr;
  }

  // After the program has ended: its last words are in the logs when this returns.
  void finish_output() {
    if (!output_) return;
    output_->finish();
    const std::uint64_t lost = output_->lost();
    output_.reset();
    if (lost != 0) warn(fmt::format("{} of output could not be written", format_bytes(lost)));
  }

  Outcome work() {
    if (const CancelWish wish = read_wish(context_.run); wish.cancelled)
      return {RunState::cancelled, wish.reason, std::nullopt, {}};
    const Work work = work_of(context_.run, context_.spec, context_.program);
    context_.recovery = work.task.job_recovery;
    if (!work.task.secrets.empty())
      secrets_.emplace(resolve_secrets(work.task.secrets), context_.run.root);
    Gang gang;
    start(gang, work);
    const Outcome outcome = follow(gang, work);
    samples_.reset();
    finish_output();
    close_endpoint();
    take_metrics(true);
    take_event_files(work);
    return outcome.state == RunState::succeeded ? with_outputs(outcome, work) : outcome;
  }

  // If a program of several cannot be started, those before it are ended.
  void start(Gang& gang, const Work& work) {
    check_disk(work.task.resources, work.task.num_nodes, context_.run.root);
    make_directories(context_.run.outs());
    make_directories(context_.run.checkpoints());
    std::optional<RunContainer> container;
    if (!context_.spec.image.empty() && !work.task.trainer)
      container.emplace(context_.run, context_.spec, work, context_.program);
    File out = File::open_append(context_.run.stdout_log());
    File err = File::open_append(context_.run.stderr_log());
    const int plain_out = out.fd(), plain_err = err.fd(); // used while the files are ours
    const Json offsets = json_object({{"stdout", out.size()}, {"stderr", err.size()}});
    intake_.emplace(context_.run, secret_values());

    const std::vector<Placement> places = place_processes(
        work.task,
        std::vector<std::string>(static_cast<std::size_t>(work.task.num_nodes), "127.0.0.1"),
        free_ports(work.task.num_nodes * work.task.procs_per_node));
    if (places.size() > most_programs)
      throw Error(ErrorKind::config,
                  fmt::format("it asks for {} processes: one machine runs at most {}",
                              places.size(), most_programs));
    File::create(context_.run.host_file()).write(host_file(places.front()));
    names_ = process_names(places, work.task.run_per);
    if (places.size() > 1 || secret_values() != nullptr) {
      std::vector<std::string> prefixes;
      for (const std::string& name : names_)
        prefixes.push_back(name.empty() ? std::string() : line_prefix(name));
      output_.emplace(secret_values() != nullptr ? *secret_values() : no_secrets_, prefixes,
                      std::move(out), std::move(err));
    }
    open_endpoint(work);
    limits_.emplace(context_.spec.id, work.task.resources, work.task.num_nodes);
    try {
      for (std::size_t i = 0; i < places.size(); ++i) {
        ProcessSpec spec;
        spec.environment = environment_of(places[i], work, current_environment());
        spec.arguments = work.arguments;
        if (container) { // which has nothing of our own environment but what is laid over it
          std::map<std::string, std::string> added = environment_of(places[i], work, {});
          for (auto& [name, value] : added)
            value = spec.environment->at(name);
          spec.arguments = container->arguments(i, added);
        }
        spec.directory = work.directory;
        spec.standard_output = output_ ? output_->standard_output(i) : plain_out;
        spec.standard_error = output_ ? output_->standard_error(i) : plain_err;
        spec.new_session = true;
        spec.dies_with_parent = true;
        gang.add(spawn_limited(spec));
      }
    } catch (const Error&) {
      if (gang.size() > 0) gang.wait();
      throw;
    }
    if (output_) output_->close_program_ends();
    if (endpoint_) endpoint_->start();
    start_samples(work);
    context_.started = Clock::now();
    context_.writer.state(RunState::running, "",
                          json_object({{"program", track::to_json(track::process_here(gang.pid()))},
                                       {"log_offsets", offsets}}));
  }

  // What a program finds, laid over `environment`.
  [[nodiscard]] std::map<std::string, std::string>
  environment_of(const Placement& place, const Work& work,
                 std::map<std::string, std::string> environment) const {
    for (auto& [name, value] : launch_environment(context_.run, context_.spec,
                                                  code_of(context_.run, context_.spec), place))
      environment.insert_or_assign(name, value);
    if (context_.place && !context_.place->gpus().empty())
      environment.insert_or_assign(visible_devices, join(gpus_of(place, work), ","));
    if (endpoint_) endpoint_->add_to(environment);
    for (const auto& [name, value] : work.environment)
      environment.insert_or_assign(name, value);
    if (secrets_) secrets_->add_to(environment);
    return environment;
  }

  // Each node has its part of the GPUs; the processes of a node see the same ones, and choose by
  // LOCAL_RANK.
  [[nodiscard]] std::vector<std::string> gpus_of(const Placement& place, const Work& work) const {
    const std::vector<std::string>& all = context_.place->gpus();
    if (work.task.run_per == config::RunPer::job) return all;
    const std::size_t each = all.size() / place.hosts.size();
    const auto first =
        all.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(place.node) * each);
    return {first, first + static_cast<std::ptrdiff_t>(each)};
  }

  void start_samples(const Work& work) {
    if (context_.hooks.sample_interval.count() == 0) return;
    SampleOptions options{context_.hooks.sample_interval, std::nullopt};
    const auto chosen = work.environment.find(visible_devices);
    if (chosen != work.environment.end())
      options.visible_gpus = chosen->second;
    else if (context_.place && !context_.place->gpus().empty())
      options.visible_gpus = join(context_.place->gpus(), ",");
    else
      options.visible_gpus = get_env(visible_devices);
    try {
      samples_.emplace(context_.run, options, secret_values());
    } catch (const std::exception& error) {
      warn(std::string("the machine is not sampled: ") + error.what());
    }
  }

  void open_endpoint(const Work& work) {
    if (!context_.hooks.open_endpoint || work.task.trainer ||
        work.environment.contains("MLFLOW_TRACKING_URI"))
      return;
    try {
      endpoint_ = context_.hooks.open_endpoint(context_.run, context_.spec, secret_values());
    } catch (const Error& error) {
      endpoint_.reset();
      warn("there is no MLflow endpoint: " + error.message());
    }
  }
  void close_endpoint() {
    if (!endpoint_) return;
    endpoint_->stop();
    for (const std::string& problem : endpoint_->problems())
      warn(problem);
    endpoint_.reset();
  }

  Process spawn_limited(const ProcessSpec& spec) {
    limits_->enter();
    struct Leave {
      ResourceLimits& limits;
      ~Leave() { limits.leave(); }
    } leave{*limits_};
    if (!limits_->unenforced().empty() && !context_.limits_warned)
      warn("resources are not enforced: " + join(limits_->unenforced(), "; "));
    context_.limits_warned = true;
    return Process::spawn(spec);
  }

  // Until the programs have ended, and their groups with them. The first that fails ends all.
  Outcome follow(Gang& gang, const Work& work) {
    std::optional<Outcome> stopping; // somebody's wish, or a limit
    bool ending = false;
    std::optional<Clock::time_point> kill_at;
    const auto end_all = [&](bool now) {
      if (!ending) {
        gang.signal(SIGTERM);
        kill_at = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                     std::chrono::duration<double>(context_.spec.grace_seconds));
      }
      ending = true;
      if (now) kill_at = Clock::now();
    };
    const auto stop = [&](RunState state, std::string reason, bool now) {
      if (!stopping) stopping = Outcome{state, std::move(reason), std::nullopt, {}};
      end_all(now);
    };
    while (!gang.have_ended()) {
      if (gang.failure() && !ending) end_all(false);
      if (kill_at && Clock::now() >= *kill_at) {
        gang.signal(SIGKILL);
        kill_at.reset();
      }
      const auto& limit = work.task.resources.max_duration;
      if (limit && !stopping && Clock::now() - context_.started > *limit)
        stop(RunState::failed,
             fmt::format("it ran longer than max_duration ({})", format_duration(*limit)), false);
      wait_a_beat(context_, kill_at);
      if (take_signals(context_.signals)) {
        const CancelWish wish = read_wish(context_.run);
        if (wish.cancelled)
          stop(RunState::cancelled, wish.reason, wish.now);
        else
          stop(RunState::preempted, told_to_end, false);
      }
      take_metrics(false);
      bound_logs(false);
    }
    bound_logs(true);
    const ProcessExit exit = gang.wait();
    if (stopping) {
      stopping->exit = exit;
      return *stopping;
    }
    return gang.failure() ? failed(*gang.failure()) : Outcome{RunState::succeeded, "", exit, {}};
  }

  [[nodiscard]] Outcome failed(const Gang::Failure& failure) const {
    const ProcessExit& exit = failure.exit;
    Outcome failed{RunState::failed, "", exit, {}, true};
    failed.process = names_[failure.program];
    const std::string who = failed.process.empty()
                                ? "the program"
                                : fmt::format("{} (of {})", failed.process, names_.size());
    failed.reason = exit.signal != 0
                        ? fmt::format("{} was ended by {}", who, signal_text(exit.signal))
                        : fmt::format("{} ended with exit code {}", who, exit.code);
    if (limits_ && limits_->ran_out_of_memory()) {
      failed.reason += ", after it ran out of the memory that it asked for";
      failed.hints.emplace_back("raise 'memory' under 'resources:' in mlp.yaml");
    } else if (exit.signal == SIGKILL) {
      failed.hints.emplace_back("it may have run out of memory");
    }
    return failed;
  }

  void bound_logs(bool last) {
    for (LogBound* log : {&context_.out_bound, &context_.err_bound}) {
      log->keep();
      const char* const name = log == &context_.out_bound ? "stdout.log" : "stderr.log";
      if (last && log->left_out() > 0)
        warn(fmt::format("{} grew beyond {}: {} in its middle are left out", name,
                         format_bytes(context_.hooks.log_limit), format_bytes(log->left_out())));
      if (last && !log->problem().empty())
        warn(fmt::format("{} grew beyond {} and could not be cut ({})", name,
                         format_bytes(context_.hooks.log_limit), log->problem()));
    }
  }

  void take_metrics(bool last) {
    if (!intake_) return;
    try {
      intake_->take(last);
    } catch (const Error& error) {
      if (!context_.intake_warned) warn("metrics are not taken in: " + error.message());
      context_.intake_warned = true;
    }
    if (last && intake_->refused() != 0)
      warn(fmt::format("$MLP_METRICS: {} {} left out; the first: {}", intake_->refused(),
                       intake_->refused() == 1 ? "line that is no JSON object was"
                                               : "lines that are no JSON objects were",
                       intake_->first_refused()));
  }

  void take_event_files(const Work& work) {
    if (work.task.trainer) return;
    try {
      for (const std::string& problem : take_tensorboard(context_.run, secret_values()).problems)
        warn(problem);
    } catch (const std::exception& error) {
      warn(std::string("TensorBoard's event files are not taken in: ") + error.what());
    }
  }

  Outcome with_outputs(Outcome outcome, const Work& work) {
    for (const std::string& out : work.task.outs) {
      std::error_code code;
      if (fs::exists(fs::symlink_status(context_.run.outs() / out, code))) continue;
      outcome.state = RunState::failed;
      outcome.reason = fmt::format("the program ended well but did not write '{}'", out);
      outcome.hints.emplace_back("outs are paths below $MLP_OUT_DIR");
      return outcome;
    }
    try {
      if (context_.hooks.store_outputs)
        context_.hooks.store_outputs(context_.spec, context_.writer);
    } catch (const Error& error) {
      outcome.state = RunState::failed;
      outcome.reason = error.message();
      outcome.hints = error.hints();
    }
    return outcome;
  }

  RunContext& context_;
  std::vector<std::string> names_; // of the programs
  std::optional<ResourceLimits> limits_;
  const secret::MaskedValues no_secrets_{{}};
  std::optional<RunSecrets> secrets_;
  // These know the secrets, and go before them.
  std::optional<ProgramOutput> output_; // if there are secrets, or several programs
  std::optional<MetricsIntake> intake_;
  std::unique_ptr<Endpoint> endpoint_;
  std::optional<MachineSamples> samples_;
};

} // namespace

CancelWish read_wish(const track::RunFolder& run) {
  CancelWish wish;
  track::read_journal(run.events(), 0, [&](const Json& record) {
    const std::string event = record.value("event", Json()).is_string()
                                  ? record["event"].get<std::string>()
                                  : std::string();
    // A supervisor that waits for its turn says so as "queued" again: the attempt is the same.
    if (event == "state" && record.value("state", Json()) == "queued" &&
        !record.contains("supervisor"))
      wish = {};
    if (event != "cancel") return;
    wish.cancelled = true;
    const Json now = record.value("now", Json(false));
    wish.now = wish.now || (now.is_boolean() && now.get<bool>());
    const Json reason = record.value("reason", Json(""));
    if (reason.is_string()) wish.reason = reason.get<std::string>();
  });
  return wish;
}

void wait_a_beat(const RunContext& context, const std::optional<Clock::time_point>& until) {
  auto time = beat;
  if (until)
    time = std::clamp(std::chrono::ceil<std::chrono::milliseconds>(*until - Clock::now()),
                      std::chrono::milliseconds(0), beat);
  pollfd entry{context.signals.fd(), POLLIN, 0};
  ::poll(&entry, 1, static_cast<int>(time.count()));
}

Outcome run_attempt(RunContext& context) {
  return Attempt(context).run();
}

} // namespace mlp::job
