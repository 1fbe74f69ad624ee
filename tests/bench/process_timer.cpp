// How long programs take from fork to exit: process_timer ROUNDS FILE, where each line of FILE is a
// command in words. Rounds go through all commands in turn, so that what else the machine does
// falls on all of them alike. Prints a line each: median, 10th and 90th percentile in ms, command.
#include <fcntl.h>
#include <spawn.h>
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
  std::vector<double> milliseconds;
};

// -1 if it could not start or failed.
double run_once(Timed& timed, const posix_spawn_file_actions_t& silence) {
  std::vector<char*> argv;
  for (std::string& word : timed.words)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  const auto start = std::chrono::steady_clock::now();
  pid_t pid = -1;
  if (::posix_spawnp(&pid, argv[0], &silence, nullptr, argv.data(), environ) != 0) return -1;
  int status = 0;
  ::waitpid(pid, &status, 0);
  const std::chrono::duration<double, std::milli> passed = std::chrono::steady_clock::now() - start;
  return status == 0 ? passed.count() : -1;
}

double percentile(const std::vector<double>& sorted, double share) {
  return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1) + 0.5)];
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
      const double passed = run_once(timed, silence);
      if (passed < 0) {
        std::fprintf(stderr, "process_timer: '%s' failed\n", timed.line.c_str());
        return 1;
      }
      if (round >= 0) timed.milliseconds.push_back(passed);
    }
  for (Timed& timed : commands) {
    std::sort(timed.milliseconds.begin(), timed.milliseconds.end());
    std::printf("%.2f\t%.2f\t%.2f\t%s\n", percentile(timed.milliseconds, 0.5),
                percentile(timed.milliseconds, 0.1), percentile(timed.milliseconds, 0.9),
                timed.line.c_str());
  }
}
