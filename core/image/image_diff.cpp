// Each part is two sorted sequences that are walked side by side.
#include "core/image/image_diff.hpp"

#include "core/base/json.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace mlp::image {

namespace {

// Calls only_before(a), only_after(b) or both(a, b) for the elements of two sorted maps.
template <class Map, class Before, class After, class Both>
void side_by_side(const Map& before, const Map& after, Before only_before, After only_after,
                  Both both) {
  auto a = before.begin();
  auto b = after.begin();
  while (a != before.end() || b != after.end()) {
    if (b == after.end() || (a != before.end() && a->first < b->first))
      only_before(*a++);
    else if (a == before.end() || b->first < a->first)
      only_after(*b++);
    else
      both(*a++, *b++);
  }
}

using Members = std::map<std::string, std::string>; // JSON by name

std::string list_text(const std::vector<std::string>& values) {
  return dump_json(Json(values));
}

Members members_of(const Config& config) {
  Members out;
  const auto put = [&](const std::string& name, const std::string& value) {
    if (!value.empty()) out[name] = dump_json(Json(value));
  };
  const auto put_list = [&](const std::string& name, const std::vector<std::string>& values) {
    if (!values.empty()) out[name] = list_text(values);
  };
  const Defaults& defaults = config.defaults;
  put("platform", platform_text(config.platform));
  put("author", config.author);
  put("created", config.created);
  put("user", defaults.user);
  put("workdir", defaults.workdir);
  put("stop_signal", defaults.stop_signal);
  put_list("entrypoint", defaults.entrypoint);
  put_list("cmd", defaults.cmd);
  put_list("shell", defaults.shell);
  put_list("exposed_ports", defaults.exposed_ports);
  put_list("volumes", defaults.volumes);
  for (const std::string& pair : defaults.env) {
    const std::size_t equals = std::min(pair.find('='), pair.size());
    out["env." + pair.substr(0, equals)] =
        dump_json(Json(pair.substr(std::min(equals + 1, pair.size()))));
  }
  for (const auto& [name, value] : defaults.labels)
    out["labels." + name] = dump_json(Json(value));
  if (const auto& check = defaults.health_check) {
    const auto seconds = [](std::int64_t ns) { return static_cast<double>(ns) / 1e9; };
    out["health_check"] = dump_json(json_object({{"test", check->test},
                                                 {"interval", seconds(check->interval)},
                                                 {"timeout", seconds(check->timeout)},
                                                 {"start_period", seconds(check->start_period)},
                                                 {"start_interval", seconds(check->start_interval)},
                                                 {"retries", check->retries}}));
  }
  return out;
}

std::vector<ConfigChange> config_changes(const Config& before, const Config& after) {
  std::vector<ConfigChange> changes;
  side_by_side(
      members_of(before), members_of(after),
      [&](const auto& a) {
        changes.push_back({a.first, a.second, ""});
      },
      [&](const auto& b) {
        changes.push_back({b.first, "", b.second});
      },
      [&](const auto& a, const auto& b) {
        if (a.second != b.second) changes.push_back({a.first, a.second, b.second});
      });
  return changes;
}

using Versions = std::map<std::pair<Package::Kind, std::string>, std::string>;

Versions versions_of(const ImageContent& content) {
  std::map<Versions::key_type, std::set<std::string>> sets;
  for (const Package& package : packages_in(content.package_texts))
    sets[{package.kind, package.name}].insert(package.version);
  Versions out;
  for (const auto& [key, versions] : sets)
    out[key] = join(std::vector<std::string>(versions.begin(), versions.end()), ", ");
  return out;
}

std::vector<PackageChange> package_changes(const ImageContent& before, const ImageContent& after) {
  if (before.package_texts == after.package_texts) return {};
  std::vector<PackageChange> changes;
  side_by_side(
      versions_of(before), versions_of(after),
      [&](const auto& a) {
        changes.push_back({a.first.first, a.first.second, a.second, ""});
      },
      [&](const auto& b) {
        changes.push_back({b.first.first, b.first.second, "", b.second});
      },
      [&](const auto& a, const auto& b) {
        if (a.second != b.second)
          changes.push_back({a.first.first, a.first.second, a.second, b.second});
      });
  return changes;
}

std::vector<std::string> differences(const ContentFile& a, const ContentFile& b) {
  if (a.kind != b.kind) return {"type"};
  std::vector<std::string> what;
  if (a.content != b.content) what.emplace_back("content");
  if (a.size != b.size) what.emplace_back("size");
  if (a.target != b.target) what.emplace_back("target");
  if (a.device_major != b.device_major || a.device_minor != b.device_minor)
    what.emplace_back("device");
  if (a.mode != b.mode) what.emplace_back("mode");
  if (a.uid != b.uid || a.gid != b.gid) what.emplace_back("owner");
  if (a.attributes != b.attributes) what.emplace_back("attributes");
  if (a.modified != b.modified) what.emplace_back("time");
  return what;
}

void compare_files(const ImageContent& before, const ImageContent& after, std::size_t most,
                   ImageDiff& diff) {
  const auto add = [&](FileChange&& change) {
    if (diff.files.size() < most) diff.files.push_back(std::move(change));
  };
  side_by_side(
      before.files, after.files,
      [&](const auto& a) {
        ++diff.removed;
        add({a.first, a.second, {}, {}});
      },
      [&](const auto& b) {
        ++diff.added;
        add({b.first, {}, b.second, {}});
      },
      [&](const auto& a, const auto& b) {
        std::vector<std::string> what = differences(a.second, b.second);
        if (what.empty()) return;
        ++diff.changed;
        if (what.size() == 1 && what.front() == "time") ++diff.only_time;
        add({a.first, a.second, b.second, std::move(what)});
      });
}

} // namespace

std::string_view verdict_word(ImageDiff::Verdict verdict) noexcept {
  switch (verdict) {
  case ImageDiff::Verdict::identical:
    return "identical";
  case ImageDiff::Verdict::equal:
    return "equal";
  case ImageDiff::Verdict::different:
    break;
  }
  return "different";
}

ImageDiff diff_images(const Layout& layout_before, const Image& before, const Layout& layout_after,
                      const Image& after, std::size_t most_files, const std::stop_token& stop) {
  ImageDiff diff;
  const std::vector<Digest>& ids_before = before.config.diff_ids;
  const std::vector<Digest>& ids_after = after.config.diff_ids;
  while (diff.shared_layers < std::min(ids_before.size(), ids_after.size()) &&
         ids_before[diff.shared_layers] == ids_after[diff.shared_layers])
    ++diff.shared_layers;
  const auto shared = static_cast<std::ptrdiff_t>(diff.shared_layers);
  diff.layers_before.assign(ids_before.begin() + shared, ids_before.end());
  diff.layers_after.assign(ids_after.begin() + shared, ids_after.end());
  if (before.descriptor.digest == after.descriptor.digest) return diff;

  diff.config = config_changes(before.config, after.config);
  if (!diff.layers_before.empty() || !diff.layers_after.empty()) {
    ImageContent old_content;
    for (std::size_t i = 0; i < diff.shared_layers; ++i)
      add_layer(old_content, layout_before, before, i, stop);
    ImageContent new_content = old_content;
    for (std::size_t i = diff.shared_layers; i < ids_before.size(); ++i)
      add_layer(old_content, layout_before, before, i, stop);
    for (std::size_t i = diff.shared_layers; i < ids_after.size(); ++i)
      add_layer(new_content, layout_after, after, i, stop);
    diff.packages = package_changes(old_content, new_content);
    compare_files(old_content, new_content, most_files, diff);
  }
  const bool same = diff.config.empty() && diff.added + diff.removed + diff.changed == 0;
  diff.verdict = same ? ImageDiff::Verdict::equal : ImageDiff::Verdict::different;
  return diff;
}

} // namespace mlp::image
