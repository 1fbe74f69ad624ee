// The names of the files say all that a scan needs, so that it is one read of the folder.
#include "core/job/host_queue.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/base/time.hpp"
#include "core/track/machine.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <thread>

namespace mlp::job {

namespace {

constexpr std::chrono::seconds longest_wait(10);
constexpr std::size_t max_ticket_bytes = 64 * 1024;

struct Ticket {
  std::string name;
  std::uint64_t order = 0;
  bool running = false;
  Demand demand;
};

// nullopt for a name of another kind.
std::optional<Ticket> parse_ticket(const std::string& name) {
  Ticket ticket{.name = name};
  unsigned long long order = 0, memory = 0;
  long long cpus = 0, gpus = 0;
  char kind = 0;
  int end = 0;
  if (std::sscanf(name.c_str(), "%19llu-c%10lld-m%12llu-g%6lld.%c%n", &order, &cpus, &memory, &gpus,
                  &kind, &end) != 5 ||
      static_cast<std::size_t>(end) != name.size() || (kind != 'w' && kind != 'r'))
    return std::nullopt;
  ticket.order = order;
  ticket.running = kind == 'r';
  ticket.demand = {.millicpus = cpus, .memory_mib = memory, .gpus = gpus, .gpu_model = {}};
  return ticket;
}

std::vector<Ticket> list_tickets(const fs::path& folder) {
  std::vector<Ticket> tickets;
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code))
    if (auto ticket = parse_ticket(it->path().filename().native()))
      tickets.push_back(*std::move(ticket));
  std::ranges::sort(tickets, {}, &Ticket::order);
  return tickets;
}

// Removes the ticket of a holder that died, as far as its owner's rights go. Under the lock.
bool is_held(const fs::path& path) {
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file.is_open()) return errno != ENOENT && errno != ELOOP;
  if (::flock(file.fd(), LOCK_SH | LOCK_NB) != 0) return true;
  ::unlink(path.c_str());
  return false;
}

// Every user may have made them. O_CREAT on a file of somebody else's is refused in such a folder.
File open_lock(const fs::path& folder) {
  const fs::path path = folder / "lock";
  for (int attempt = 0; attempt < 3; ++attempt) {
    File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (file.is_open()) return file;
    if (errno != ENOENT) break;
    const int fd = ::open(path.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (fd >= 0) return File(fd);
    if (errno != EEXIST) break;
  }
  throw system_error(errno, "lock", path.native());
}

class HostLock {
 public:
  explicit HostLock(const fs::path& folder) : file_(open_lock(folder)) {
    const auto deadline = std::chrono::steady_clock::now() + longest_wait;
    while (::flock(file_.fd(), LOCK_EX | LOCK_NB) != 0) {
      if (std::chrono::steady_clock::now() > deadline)
        throw Error(ErrorKind::conflict, fmt::format("the queue '{}' is locked by a process that "
                                                     "does not go on",
                                                     folder.native()))
            .with_hint("see who has it open: fuser -v " + (folder / "lock").native());
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

 private:
  File file_;
};

void prepare(const fs::path& folder) {
  if (::mkdir(folder.c_str(), 01777) == 0) {
    ::chmod(folder.c_str(), 01777); // whatever the umask
    return;
  }
  struct stat info {};
  if (errno != EEXIST || ::lstat(folder.c_str(), &info) != 0)
    throw system_error(errno, "create folder", folder.native());
  if (!S_ISDIR(info.st_mode))
    throw Error(ErrorKind::failed, fmt::format("'{}' is no folder", folder.native()));
}

std::string cpu_text(std::int64_t millicpus) {
  return fmt::format("{:g} {}", static_cast<double>(millicpus) / 1000,
                     millicpus == 1000 ? "CPU" : "CPUs");
}
std::string memory_text(std::uint64_t mib) {
  return format_bytes(mib << 20) + " of memory";
}
std::string gpu_text(std::int64_t gpus) {
  return fmt::format("{} {}", gpus, gpus == 1 ? "GPU" : "GPUs");
}

// Whether a model has this in its name, in capitals or not.
bool names_model(std::string_view text, std::string_view word) {
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) ==
           std::tolower(static_cast<unsigned char>(b));
  };
  return std::search(text.begin(), text.end(), word.begin(), word.end(), same) != text.end() ||
         word.empty();
}

std::optional<Json> read_ticket(const fs::path& path) {
  try {
    const auto text = read_file_if_exists(path, max_ticket_bytes);
    if (text) return parse_json(*text, "a ticket");
  } catch (const Error&) { // not ours to judge
  }
  return std::nullopt;
}

std::vector<std::string> held_gpus(const Json& ticket) {
  std::vector<std::string> gpus;
  const auto held = ticket.find("held");
  if (held != ticket.end() && held->is_array())
    for (const Json& id : *held)
      if (id.is_string()) gpus.push_back(id.get<std::string>());
  return gpus;
}

// The value after "KEY:" on a line of its own.
std::string line_of(const std::string& text, std::string_view key) {
  const std::size_t at = text.find(key);
  if (at == std::string::npos) return "";
  const std::string_view rest = std::string_view(text).substr(at + key.size());
  return std::string(trim(rest.substr(0, rest.find('\n'))));
}

// As CUDA reads its variable: indices or beginnings of ids, up to the first that fits none. None
// counts twice.
std::vector<HostGpu> visible(const std::vector<HostGpu>& all, const std::string& variable) {
  std::vector<HostGpu> some;
  for (const std::string& part : split(variable, ',')) {
    const std::string word(trim(part));
    const HostGpu* found = nullptr;
    if (!word.empty() && std::ranges::all_of(word, [](char c) { return c >= '0' && c <= '9'; })) {
      const std::size_t index = std::strtoul(word.c_str(), nullptr, 10);
      if (index < all.size()) found = &all[index];
    } else if (!word.empty()) {
      for (const HostGpu& gpu : all)
        if (gpu.id.starts_with(word)) found = &gpu;
    }
    if (found == nullptr) break;
    if (std::ranges::find(some, found->id, &HostGpu::id) == some.end()) some.push_back(*found);
  }
  return some;
}

} // namespace

std::vector<HostGpu> host_gpus(const fs::path& driver) {
  std::vector<HostGpu> gpus;
  std::vector<fs::path> folders;
  std::error_code code;
  for (fs::directory_iterator it(driver, code), end; !code && it != end; it.increment(code))
    folders.push_back(it->path());
  std::ranges::sort(folders); // by PCI address, as the driver numbers them
  for (const fs::path& folder : folders) {
    const auto text = read_file_if_exists(folder / "information", max_ticket_bytes);
    if (!text) continue;
    HostGpu gpu{line_of(*text, "GPU UUID:"), line_of(*text, "Model:")};
    if (!gpu.id.empty()) gpus.push_back(std::move(gpu));
  }
  return gpus;
}

HostCapacity host_capacity(const fs::path& driver) {
  HostCapacity capacity;
  cpu_set_t set;
  CPU_ZERO(&set);
  const auto cpus = ::sched_getaffinity(0, sizeof set, &set) == 0
                        ? static_cast<unsigned>(CPU_COUNT(&set))
                        : std::thread::hardware_concurrency();
  capacity.millicpus = static_cast<std::int64_t>(cpus) * 1000;
  capacity.memory_mib = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                            static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) >>
                        20;
  capacity.gpus = host_gpus(driver);
  if (const auto variable = get_env("CUDA_VISIBLE_DEVICES"))
    capacity.gpus = visible(capacity.gpus, *variable);
  return capacity;
}

Demand demand_of(const config::Resources& resources, std::int64_t nodes) {
  Demand demand;
  const auto times = static_cast<double>(nodes);
  if (resources.cpus) demand.millicpus = std::llround(resources.cpus->value * times * 1000);
  if (resources.memory)
    demand.memory_mib =
        static_cast<std::uint64_t>(std::ceil(resources.memory->value * times * 1024));
  if (resources.accelerators) {
    demand.gpus = resources.accelerators->count * nodes;
    demand.gpu_model = resources.accelerators->name;
  }
  return demand;
}

std::string demand_text(const Demand& demand) {
  std::vector<std::string> parts;
  if (demand.millicpus > 0) parts.push_back(cpu_text(demand.millicpus));
  if (demand.memory_mib > 0) parts.push_back(memory_text(demand.memory_mib));
  if (demand.gpus > 0) parts.push_back(gpu_text(demand.gpus));
  return join(parts, ", ");
}

void check_demand(const Demand& demand, const HostCapacity& capacity) {
  const auto refuse = [](std::string_view asks, std::string_view has) {
    return Error(ErrorKind::config, fmt::format("it asks for {}: this machine has {}", asks, has))
        .with_hint("ask for less under 'resources:' in mlp.yaml");
  };
  if (demand.millicpus > capacity.millicpus)
    throw refuse(cpu_text(demand.millicpus), cpu_text(capacity.millicpus));
  if (demand.memory_mib > capacity.memory_mib)
    throw refuse(memory_text(demand.memory_mib), memory_text(capacity.memory_mib));
  const auto fitting = std::ranges::count_if(
      capacity.gpus, [&](const HostGpu& gpu) { return names_model(gpu.model, demand.gpu_model); });
  if (demand.gpus > fitting)
    throw refuse(demand.gpu_model.empty()
                     ? gpu_text(demand.gpus)
                     : fmt::format("{} '{}'", gpu_text(demand.gpus), printable(demand.gpu_model)),
                 fitting == 0 ? "none" : std::to_string(fitting));
}

fs::path host_queue_folder() {
  if (const auto folder = get_env("MLP_HOST_QUEUE"); folder && !folder->empty()) return *folder;
  std::error_code code;
  return fs::is_directory("/dev/shm", code) ? "/dev/shm/mlp-queue" : "/tmp/mlp-queue";
}

std::vector<QueueEntry> read_host_queue(const fs::path& folder) {
  std::error_code code;
  std::vector<QueueEntry> entries;
  if (!fs::is_directory(folder, code)) return entries;
  const HostLock lock(folder);
  for (const Ticket& ticket : list_tickets(folder)) {
    const fs::path path = folder / ticket.name;
    if (!is_held(path)) continue;
    QueueEntry entry{.running = ticket.running, .demand = ticket.demand};
    if (const auto json = read_ticket(path)) {
      const auto text = [&](const char* key) {
        const auto value = json->find(key);
        return value != json->end() && value->is_string() ? value->get<std::string>()
                                                          : std::string();
      };
      entry.run = text("run");
      entry.project = text("project");
      entry.user = text("user");
      entry.gpus = held_gpus(*json);
    }
    entries.push_back(std::move(entry));
  }
  std::ranges::stable_sort(entries, {}, [](const QueueEntry& e) { return !e.running; });
  return entries;
}

QueuePlace::QueuePlace(fs::path folder, HostCapacity capacity, Demand demand,
                       const std::string& run, const std::string& project)
    : folder_(std::move(folder)), capacity_(std::move(capacity)), demand_(std::move(demand)),
      run_(run), project_(project) {
  check_demand(demand_, capacity_);
  prepare(folder_);
  events_ = File(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const HostLock lock(folder_);
  const std::vector<Ticket> tickets = list_tickets(folder_);
  order_ = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(wall_now().time_since_epoch()).count());
  if (!tickets.empty()) order_ = std::max(order_, tickets.back().order + 1);
  const fs::path path = folder_ / name(false);
  ticket_ = File(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!ticket_.is_open()) throw system_error(errno, "write", path.native());
  ::flock(ticket_.fd(), LOCK_EX);
  write();
}

QueuePlace::~QueuePlace() {
  ::unlink((folder_ / name(running_)).c_str());
}

std::string QueuePlace::name(bool running) const {
  return fmt::format("{:019}-c{}-m{}-g{}.{}", order_, demand_.millicpus, demand_.memory_mib,
                     demand_.gpus, running ? 'r' : 'w');
}

void QueuePlace::write() {
  const std::string text = dump_json(json_object({{"run", run_},
                                                  {"project", project_},
                                                  {"user", track::user_name()},
                                                  {"pid", static_cast<std::int64_t>(::getpid())},
                                                  {"held", gpus_}})) +
                           "\n";
  if (::ftruncate(ticket_.fd(), 0) != 0 ||
      ::pwrite(ticket_.fd(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    throw system_error(errno, "write", (folder_ / name(running_)).native());
}

void QueuePlace::watch(const fs::path& path, std::uint32_t events) {
  if (!events_.is_open()) return; // every second is enough
  alignas(inotify_event) char drained[4096];
  while (::read(events_.fd(), drained, sizeof drained) > 0) {
  }
  const int watched = ::inotify_add_watch(events_.fd(), path.c_str(), events);
  if (watched_ >= 0 && watched != watched_) ::inotify_rm_watch(events_.fd(), watched_);
  watched_ = watched;
}

bool QueuePlace::try_start() {
  if (running_) return true;
  const HostLock lock(folder_);
  const std::vector<Ticket> tickets = list_tickets(folder_);
  std::size_t ahead = 0;
  for (const Ticket& ticket : tickets)
    ahead += !ticket.running && ticket.order < order_ ? 1 : 0;
  // The nearest before us that lives: when it moves, it is time to look again.
  for (auto it = tickets.rbegin(); it != tickets.rend(); ++it) {
    if (it->running || it->order >= order_) continue;
    const fs::path path = folder_ / it->name;
    if (!is_held(path)) {
      --ahead;
      continue;
    }
    reason_ = fmt::format("{} {} ahead of it", ahead, ahead == 1 ? "run is" : "runs are");
    watch(path, IN_MOVE_SELF | IN_DELETE_SELF | IN_CLOSE_WRITE | IN_ATTRIB);
    return false;
  }

  Demand used;
  std::vector<std::string> held;
  for (const Ticket& ticket : tickets) {
    if (!ticket.running || !is_held(folder_ / ticket.name)) continue;
    used.millicpus += ticket.demand.millicpus;
    used.memory_mib += ticket.demand.memory_mib;
    if (ticket.demand.gpus == 0) continue;
    if (const auto json = read_ticket(folder_ / ticket.name))
      for (std::string& id : held_gpus(*json))
        held.push_back(std::move(id));
  }
  std::vector<std::string> free;
  for (const HostGpu& gpu : capacity_.gpus)
    if (names_model(gpu.model, demand_.gpu_model) && std::ranges::find(held, gpu.id) == held.end())
      free.push_back(gpu.id);
  watch(folder_, IN_DELETE | IN_CLOSE_WRITE);
  if (used.millicpus + demand_.millicpus > capacity_.millicpus) {
    reason_ =
        fmt::format("it waits for {}: {} of {} are in use", cpu_text(demand_.millicpus),
                    static_cast<double>(used.millicpus) / 1000, cpu_text(capacity_.millicpus));
    return false;
  }
  if (used.memory_mib + demand_.memory_mib > capacity_.memory_mib) {
    reason_ =
        fmt::format("it waits for {}: {} of {} are in use", memory_text(demand_.memory_mib),
                    format_bytes(used.memory_mib << 20), format_bytes(capacity_.memory_mib << 20));
    return false;
  }
  if (static_cast<std::int64_t>(free.size()) < demand_.gpus) {
    reason_ = fmt::format("it waits for {}: {} free", gpu_text(demand_.gpus),
                          free.empty() ? "none is" : fmt::format("{} are", free.size()));
    return false;
  }
  free.resize(static_cast<std::size_t>(demand_.gpus));
  gpus_ = std::move(free);
  write();
  const fs::path waiting = folder_ / name(false), running = folder_ / name(true);
  if (::rename(waiting.c_str(), running.c_str()) != 0)
    throw system_error(errno, "write", running.native());
  running_ = true;
  return true;
}

} // namespace mlp::job
