#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/escape.h"
#include "daemon/bastionctl/recordings.h"
#include "daemon/bastionctl/table.h"
#include "daemon/bastionctl/terminal.h"

namespace bastion::ctl {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kIdShown = 8;

std::int64_t seconds(const index::Row& row) {
  return static_cast<std::int64_t>((row.end_us - std::min(row.start_us, row.end_us)) / 1'000'000);
}

Json json_of(const index::Found& found, bool held) {
  const index::Row& row = found.row;
  Json json = {{"session", row.session},     {"day", row.day},
               {"user", row.user},           {"login", row.login},
               {"target", row.target},       {"rule", row.rule},
               {"from", row.from},           {"start_us", row.start_us},
               {"end_us", row.end_us},       {"state", row.state},
               {"encrypted", row.encrypted}, {"what", row.what},
               {"bytes", row.size},          {"held", held}};
  if (!found.snippet.empty()) {
    json["found"] = found.snippet;
  }
  return json;
}

/// one_line keeps what stands around the place where a text was found.
std::string one_line(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  return escaped(text, 200);
}

/// say_what_was_not_searched counts the encrypted recordings that the rest of the filter fits.
void say_what_was_not_searched(const index::Index& index, index::Filter filter) {
  filter.text.clear();
  filter.command.clear();
  filter.screen.clear();
  filter.file.clear();
  filter.limit = 1'000'000;
  const auto all = index.find(filter);
  const auto count =
      all ? std::ranges::count_if(*all, [](const index::Found& each) { return each.row.encrypted; })
          : 0;
  if (count > 0) {
    (void)complain("not searched: " + std::to_string(count) +
                       (count == 1 ? " recording that is" : " recordings that are") +
                       " encrypted; --identity FILE reads what is encrypted to it",
                   0);
  }
}

}  // namespace

int recordings_list(const RecordingsOptions& options) {
  index::Filter filter = options.filter;
  const std::int64_t now = std::time(nullptr);
  for (const auto& [text, to] :
       {std::pair{&options.since, &filter.since_us}, std::pair{&options.until, &filter.until_us}}) {
    if (!text->empty()) {
      const auto time = parse_time(*text, now);
      if (!time) {
        return complain("not a time: " + escaped(*text) +
                            " (7d, 12h, today, 2026-11-25, "
                            "\"2026-11-25 14:02\")",
                        2);
      }
      *to = *time;
    }
  }
  const auto recordings = Recordings::open(options);
  if (!recordings) {
    return complain(recordings.error(), 3);
  }
  const auto index = recordings->open_index();
  if (!index) {
    return complain(index.error(), 3);
  }
  const auto found = index->find(filter);
  if (!found) {
    return complain(found.error(), 3);
  }
  if (filter.by_text() && options.identity_files.empty()) {
    say_what_was_not_searched(*index, filter);
  }
  if (*options.json) {
    Json list = Json::array();
    for (const index::Found& each : *found) {
      list.push_back(json_of(each, recordings->files().held(each.row.day, each.row.session)));
    }
    std::puts(list.dump(2, ' ', true, Json::error_handler_t::replace).c_str());
    return 0;
  }
  if (found->empty()) {
    std::puts("no recordings");
    return filter.by_text() ? 1 : 0;
  }
  const bool by_text = filter.by_text();
  Table table({{"ID"},
               {"USER"},
               {"AS@TARGET"},
               {"START"},
               {"LENGTH", true},
               {by_text ? "FOUND" : "WHAT"},
               {"STATE"}});
  for (const index::Found& each : *found) {
    const index::Row& row = each.row;
    table.add({row.session.substr(0, kIdShown), row.user, row.login + "@" + row.target,
               clock_time(static_cast<std::int64_t>(row.start_us / 1'000'000), now),
               seconds(row) < 1 ? "<1s" : human_seconds(seconds(row)),
               by_text ? one_line(each.snippet)
                       : (row.encrypted && row.what.empty() ? "(encrypted)" : row.what),
               row.state + (recordings->files().held(row.day, row.session) ? ", held" : "")});
  }
  std::fputs(table.text(terminal_width(), colour()).c_str(), stdout);
  if (found->size() == filter.limit) {
    (void)complain("there may be more: --limit, --until", 0);
  }
  return 0;
}

}  // namespace bastion::ctl
