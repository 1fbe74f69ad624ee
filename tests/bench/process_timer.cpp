// How long programs take from fork to exit: process_timer ROUNDS FILE, where each line of FILE is a
// command in words. Rounds go through all commands in turn, so that what else the machine does
// falls on all of them alike. Prints a line each: median, 10th and 90th percentile of the wall time
// in ms, median of the CPU time in ms, command.
#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

extern char** environ;

namespace {

struct Timed {
  std::string line;
  std::vector<std::string> words;
  std::vector<double> wall, cpu; // ms
};

double milliseconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3;
}

// False if it could not start or failed.
bool run_once(Timed& timed, const posix_spawn_file_actions_t& silence) {
  std::vector<char*> argv;
  for (std::string& word : timed.words)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  const auto start = std::chrono::steady_clock::now();
  pid_t pid = -1;
  if (::posix_spawnp(&pid, argv[0], &silence, nullptr, argv.data(), environ) != 0) return false;
  int status = 0;
  rusage usage{};
  ::wait4(pid, &status, 0, &usage);
  const std::chrono::duration<double, std::milli> passed = std::chrono::steady_clock::now() - start;
  timed.wall.push_back(passed.count());
  timed.cpu.push_back(milliseconds(usage.ru_utime) + milliseconds(usage.ru_stime));
  return status == 0;
}

double percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1) + 0.5)];
}

} // namespace

int main(int argc, char** argv) {
  const int rounds = argc == 3 ? std::atoi(argv[1]) : 0;
  if (rounds < 1) {
    std::fprintf(stderr, "usage: process_timer ROUNDS FILE\n");
    return 2;
  }
  std::vector<Timed> commands;
  std::ifstream file(argv[2]);
  for (std::string line; std::getline(file, line);) {
    Timed timed{.line = line};
    std::istringstream words(line);
    for (std::string word; words >> word;)
      timed.words.push_back(word);
    if (!timed.words.empty()) commands.push_back(std::move(timed));
  }
  posix_spawn_file_actions_t silence;
  ::posix_spawn_file_actions_init(&silence);
  ::posix_spawn_file_actions_addopen(&silence, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addopen(&silence, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  for (int round = -2; round < rounds; ++round) // two rounds warm the page cache
    for (Timed& timed : commands) {
      if (round == 0) {
        timed.wall.clear();
        timed.cpu.clear();
      }
      if (!run_once(timed, silence)) {
        std::fprintf(stderr, "process_timer: '%s' failed\n", timed.line.c_str());
        return 1;
      }
    }
  for (const Timed& timed : commands)
    std::printf("%.2f\t%.2f\t%.2f\t%.2f\t%s\n", percentile(timed.wall, 0.5),
                percentile(timed.wall, 0.1), percentile(timed.wall, 0.9),
                percentile(timed.cpu, 0.5), timed.line.c_str());
}
