// Run ids: sortable, unique, recognisable.
#include "core/base/ids.hpp"

#include <catch2/catch.hpp>

#include <set>

using namespace mlp;

TEST_CASE("a run id begins with its time in UTC and is recognised") {
  const std::string id = new_run_id(*parse_time("2026-01-31T12:00:05.999Z"));
  CHECK(id.starts_with("20260131-120005-"));
  CHECK(is_run_id(id));
}

TEST_CASE("ids of one second differ") {
  std::set<std::string> seen;
  const WallTime now = wall_now();
  for (int i = 0; i < 200; ++i)
    seen.insert(new_run_id(now));
  CHECK(seen.size() == 200);
}

TEST_CASE("what is not a run id is not taken for one") {
  for (const char* text :
       {"", "20260131-120000", "20260131-120000-k3f9q", "20260131-120000-K3F9QX",
        "20260131-120000-k3f9qu", "20260131_120000-k3f9qx", "../../etc/passwd00000"})
    CHECK_FALSE(is_run_id(text));
}
