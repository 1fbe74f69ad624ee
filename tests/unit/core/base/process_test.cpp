// Children: how they start, fail to start, end, and what they inherit.
#include "core/base/error.hpp"
#include "core/base/process.hpp"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

using namespace mlp;
using namespace std::chrono_literals;

namespace {

struct Pipe {
  Pipe() {
    int fds[2];
    REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
    read = File(fds[0]);
    write = File(fds[1]);
  }
  std::string drain() {
    write.close();
    std::string text;
    std::byte buffer[512];
    while (const std::size_t n = read.read(buffer))
      text.append(reinterpret_cast<const char*>(buffer), n);
    return text;
  }
  File read, write;
};

// Standard output of `sh -c script`.
std::string shell(const std::string& script, ProcessSpec spec = {}) {
  Pipe pipe;
  spec.arguments = {"sh", "-c", script};
  spec.standard_output = pipe.write.fd();
  Process child = Process::spawn(spec);
  std::string text = pipe.drain();
  CHECK(child.wait().code == 0);
  return text;
}

ErrorKind spawn_error(const ProcessSpec& spec) {
  try {
    (void)Process::spawn(spec);
  } catch (const Error& error) {
    return error.kind();
  }
  throw std::logic_error("it started");
}

} // namespace

TEST_CASE("a program is found where a child of that name would be started from") {
  const auto shell = find_program("sh");
  REQUIRE(shell);
  CHECK(shell->is_absolute());
  CHECK(find_program(shell->native()) == shell);
  CHECK_FALSE(find_program("no-such-program-anywhere"));
  CHECK_FALSE(find_program("/etc"));
  CHECK_FALSE(find_program("/etc/passwd"));
}

TEST_CASE("a program that cannot start is an error here, not an exit code there") {
  const TemporaryDirectory folder;
  write_file_atomic(folder.path() / "script", "#!/bin/sh\n", 0644);
  CHECK(spawn_error({.arguments = {"no-such-program-of-ours"}}) == ErrorKind::not_found);
  CHECK(spawn_error({.arguments = {folder.path() / "script"}}) == ErrorKind::denied);
  CHECK(spawn_error({.arguments = {}}) == ErrorKind::failed);
  CHECK_THROWS_WITH(Process::spawn({.arguments = {"true"}, .directory = "/no/such"}),
                    "cannot enter folder '/no/such': No such file or directory");
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1); // none of them is left as a zombie
  CHECK(errno == ECHILD);
}

TEST_CASE("the end of a child is its code or its signal") {
  Process coded = Process::spawn({.arguments = {"sh", "-c", "exit 7"}});
  CHECK(coded.wait().code == 7);
  CHECK(coded.wait().code == 7); // may be asked again
  CHECK_FALSE(coded.signal(SIGTERM));
  Process killed = Process::spawn({.arguments = {"sh", "-c", "kill -9 $$"}});
  const ProcessExit exit = killed.wait();
  CHECK(exit.signal == SIGKILL);
  CHECK(exit.code == 137);
}

TEST_CASE("a wait with a limit ends at the limit or with the child") {
  Process child = Process::spawn({.arguments = {"sleep", "30"}});
  CHECK_FALSE(child.wait_for(30ms));
  CHECK(child.signal(SIGTERM));
  const auto exit = child.wait_for(10s);
  REQUIRE(exit);
  CHECK(exit->signal == SIGTERM);
}

TEST_CASE("a session of its own is signalled as a group") {
  Pipe pipe;
  // The shell's own child holds the pipe: its end shows that the signal reached it too.
  Process child = Process::spawn({.arguments = {"sh", "-c", "sleep 30 & wait"},
                                  .standard_output = pipe.write.fd(),
                                  .new_session = true});
  CHECK(::getsid(child.pid()) == child.pid());
  CHECK(child.signal(SIGKILL, true));
  child.wait();
  CHECK(pipe.drain().empty());
}

TEST_CASE("a child sees the environment and folder that it was given, and no other") {
  CHECK(shell("echo $A-$HOME; pwd", {.environment = {{{"A", "x y"}}}, .directory = "/"}) ==
        "x y-\n/\n");
}

TEST_CASE("a child inherits no descriptor, blocked signal or ignored signal") {
  const int leak = ::open("/dev/null", O_RDONLY); // without O_CLOEXEC, as a parent may leave it
  REQUIRE(leak >= 0);
  CHECK(shell("ls /proc/self/fd | wc -l") == "4\n"); // 0, 1, 2 and ls's own
  ::close(leak);
  const auto handler = ::signal(SIGPIPE, SIG_IGN);
  CHECK(shell("grep -E 'SigBlk|SigIgn' /proc/self/status") ==
        "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
  ::signal(SIGPIPE, handler);
}

TEST_CASE("standard output and error may be the same, or swapped") {
  Pipe pipe;
  Process both = Process::spawn({.arguments = {"sh", "-c", "echo out; echo err >&2"},
                                 .standard_output = pipe.write.fd(),
                                 .standard_error = pipe.write.fd()});
  CHECK(pipe.drain() == "out\nerr\n");
  CHECK(both.wait().code == 0);

  // In a child of ours whose 1 and 2 are pipes, a grandchild gets them crosswise.
  Pipe out, err;
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(out.write.fd(), 1);
    ::dup2(err.write.fd(), 2);
    Process child = Process::spawn({.arguments = {"sh", "-c", "echo O; echo E >&2"},
                                    .standard_output = 2,
                                    .standard_error = 1});
    ::_exit(child.wait().code);
  }
  CHECK(out.drain() == "E\n");
  CHECK(err.drain() == "O\n");
  int status = 0;
  ::waitpid(pid, &status, 0);
  CHECK(status == 0);
}

TEST_CASE("a failed start is reported even where standard descriptors are closed") {
  const pid_t pid = ::fork();
  if (pid == 0) {
    for (const int fd : {0, 1, 2})
      ::close(fd);
    int code = 1;
    try {
      (void)Process::spawn({.arguments = {"no-such-program-of-ours"}});
    } catch (const Error& error) {
      code = error.kind() == ErrorKind::not_found ? 0 : 2;
    }
    ::_exit(code);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  CHECK(status == 0);
}

TEST_CASE("a zombie and a reused id are not alive") {
  CHECK(process_alive(::getpid(), process_start_time(::getpid())));
  CHECK_FALSE(process_alive(::getpid(), process_start_time(::getpid()) + 1));
  CHECK_FALSE(process_alive(0, 0));
  CHECK_FALSE(process_alive(-1, 0));
  Process child = Process::spawn({.arguments = {"sleep", "30"}});
  CHECK(process_alive(child.pid(), process_start_time(child.pid())));
  child.signal(SIGKILL);
  siginfo_t info{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOWAIT) == 0);
  CHECK_FALSE(process_alive(child.pid(), 0)); // dead, though not waited for
  CHECK(child.wait().signal == SIGKILL);
  CHECK_FALSE(process_alive(child.pid(), 0));
}

TEST_CASE("processes start from many threads at once") {
  std::vector<std::jthread> threads;
  std::atomic<int> good{0};
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 10; ++k)
        if (Process::spawn({.arguments = {"true"}}).wait().code == 0) ++good;
    });
  threads.clear();
  CHECK(good == 40);
}

TEST_CASE("the executable and the environment are found") {
  CHECK(fs::exists(this_executable()));
  CHECK(current_environment().contains("PATH"));
  CHECK(get_env("PATH") == current_environment().at("PATH"));
  CHECK_FALSE(get_env("MLP_NO_SUCH_VARIABLE"));
}
