#include <cstdio>
#include <ctime>
#include <map>
#include <nlohmann/json.hpp>

#include "base/escape.h"
#include "daemon/bastionctl/recordings.h"
#include "daemon/bastionctl/reply.h"
#include "daemon/bastionctl/table.h"
#include "daemon/bastionctl/terminal.h"

namespace bastion::ctl {
namespace {

using Json = nlohmann::json;
using recording::EntryKind;

std::string when(std::uint64_t time_us) {
  const auto seconds = static_cast<std::time_t>(time_us / 1'000'000);
  std::tm tm{};
  localtime_r(&seconds, &tm);
  char buffer[40];
  std::strftime(buffer, sizeof buffer, "%Y-%m-%d %H:%M:%S %z", &tm);
  return buffer;
}

/// Channel is what there is to say of one.
struct Channel {
  std::string type;
  std::string what;
  std::string terminal;
  std::string exit;
  std::uint64_t out = 0;
  std::uint64_t err = 0;
  std::uint64_t in = 0;
  std::uint64_t hidden = 0;
  std::uint64_t events = 0;  // file operations, forwards
  std::string capped;

  void take(const recording::Entry& entry);
};

void Channel::take(const recording::Entry& entry) {
  switch (entry.kind) {
    case EntryKind::kChannelOpen: type = escaped(entry.bytes, 64); break;
    case EntryKind::kPty:
      if (const auto pty = recording::parse_pty(entry.bytes)) {
        terminal = escaped(pty->term, 64) + " " + std::to_string(pty->size.columns) + "x" +
                   std::to_string(pty->size.rows);
      }
      break;
    case EntryKind::kStart:
      if (const auto start = recording::parse_start(entry.bytes)) {
        what = start->kind == recording::StartKind::kShell ? "shell"
               : start->kind == recording::StartKind::kExec
                   ? "exec: " + escaped(start->command, 1000)
                   : "subsystem: " + escaped(start->command, 64);
      }
      break;
    case EntryKind::kStdout: out += entry.bytes.size(); break;
    case EntryKind::kStderr: err += entry.bytes.size(); break;
    case EntryKind::kStdin: in += entry.bytes.size(); break;
    case EntryKind::kInputHidden: hidden += recording::parse_number(entry.bytes).value_or(0); break;
    case EntryKind::kExitStatus:
      exit = "status " + std::to_string(recording::parse_number(entry.bytes).value_or(0));
      break;
    case EntryKind::kExitSignal:
      if (const auto signal = recording::parse_exit_signal(entry.bytes)) {
        exit = "signal " + escaped(signal->name, 32);
      }
      break;
    case EntryKind::kCapReached:
      if (const auto cap = recording::parse_cap(entry.bytes)) {
        capped += std::string(capped.empty() ? "" : ", ") +
                  std::string(recording::entry_kind_name(cap->stream)) + " after " +
                  human_bytes(cap->limit_bytes);
      }
      break;
    case EntryKind::kFile:
    case EntryKind::kForward: ++events; break;
    default: break;
  }
}

/// Happened is one file operation, or something about a forwarding.
struct Happened {
  std::uint64_t time_us = 0;
  std::uint32_t channel = 0;
  Json about;
};
/// So many of them are shown; a copy of a tree has millions.
constexpr std::size_t kHappenedMax = 10'000;

/// shown is a text of an entry as it was escaped once; a recording may hold anything else.
std::string shown(const std::string& text) {
  return escaped(unescaped(text).value_or(text), SIZE_MAX);
}

/// happened_line is one of them for people: what, with what, how much, what came of it.
std::string happened_line(const Json& about) {
  const auto text = [&](const char* name) {
    const auto found = about.find(name);
    return found == about.end() ? std::string()
           : found->is_string() ? shown(found->get<std::string>())
           : found->is_number() ? grouped(found->get<std::uint64_t>())
                                : std::string();
  };
  std::string out = text(about.contains("operation") ? "operation" : "event");
  for (const char* name :
       {"name", "request", "type", "path", "other_path", "detail", "host", "flags", "attributes"}) {
    out += text(name).empty() ? "" : "  " + text(name);
  }
  for (const auto& [name, what] :
       {std::pair("bytes_read", "read"), std::pair("bytes_written", "written"),
        std::pair("bytes_up", "up"), std::pair("bytes_down", "down")}) {
    if (!text(name).empty() && text(name) != "0") {
      out += std::string("  ") + what + " " + text(name);
    }
  }
  for (const char* name : {"outcome", "reason", "digest_read", "digest_written", "no_digest"}) {
    out += text(name).empty() ? "" : "  " + text(name);
  }
  return out;
}

/// Held is what a hold's file says of it; one that somebody made by hand says nothing.
struct Held {
  std::string by, reason;
  std::uint64_t time_us = 0;

  explicit Held(const std::string& text) {
    const Json json = Json::parse(text, nullptr, false);
    by = ctl::text(json, "by");
    reason = ctl::text(json, "reason");
    time_us = count(json, "time_us");
  }
  std::string text() const {
    std::string out = "held";
    out += time_us == 0 ? "" : " since " + when(time_us);
    out += by.empty() ? "" : " by " + escaped(by, 64);
    return out + (reason.empty() ? "" : ": " + escaped(reason, 1000));
  }
};

struct Seen {
  recording::Metadata metadata;
  std::map<std::uint32_t, Channel> channels;
  std::vector<Happened> happened;
  std::uint64_t num_happened = 0;
  std::optional<recording::End> end;
  std::uint64_t last_us = 0;
  bool is_signed = false;
  std::optional<Held> held;

  void take(const recording::Entry& entry);
};

void Seen::take(const recording::Entry& entry) {
  last_us = std::max(last_us, entry.time_us);
  if (entry.channel != recording::kNoChannel) {
    channels[entry.channel].take(entry);
  }
  if (entry.kind == EntryKind::kFile || entry.kind == EntryKind::kForward) {
    Json about = Json::parse(as_text(entry.bytes), nullptr, false);
    if (about.is_object() && num_happened++ < kHappenedMax) {
      happened.push_back({entry.time_us, entry.channel, std::move(about)});
    }
  }
}

Json json_of(const Seen& seen, const Recordings::Outcome& outcome) {
  Json json = Json::parse(recording::to_json(seen.metadata), nullptr, false);
  json["state"] = seen.end ? recording::end_state_name(seen.end->state) : "open";
  json["signed"] = seen.is_signed;
  json["held"] = seen.held.has_value();
  if (seen.held) {
    json["hold"] = {
        {"by", seen.held->by}, {"reason", seen.held->reason}, {"time_us", seen.held->time_us}};
  }
  if (seen.end) {
    json["end"] = Json::parse(recording::to_json(*seen.end), nullptr, false);
  }
  if (outcome.problem) {
    json["problem"] = recording::problem_name(outcome.problem->kind);
  }
  json["channels"] = Json::array();
  for (const auto& [number, channel] : seen.channels) {
    json["channels"].push_back({{"channel", number},
                                {"type", channel.type},
                                {"what", channel.what},
                                {"terminal", channel.terminal},
                                {"exit", channel.exit},
                                {"stdout_bytes", channel.out},
                                {"stderr_bytes", channel.err},
                                {"stdin_bytes", channel.in},
                                {"input_hidden", channel.hidden},
                                {"events", channel.events},
                                {"capped", channel.capped}});
  }
  json["events"] = Json::array();
  for (const Happened& one : seen.happened) {
    Json about = one.about;
    about["time_us"] = one.time_us;
    if (one.channel != recording::kNoChannel) {
      about["channel"] = one.channel;
    }
    json["events"].push_back(std::move(about));
  }
  json["num_events"] = seen.num_happened;
  return json;
}

void line(const char* name, const std::string& value) {
  if (!value.empty()) {
    std::printf("%-10s %s\n", name, value.c_str());
  }
}

void print(const Seen& seen) {
  const recording::Metadata& m = seen.metadata;
  const std::uint64_t end_us = std::max(seen.end ? seen.end->end_us : seen.last_us, m.start_us);
  line("session", m.session);
  line("who", escaped(m.user) + " from " + escaped(m.from));
  line("where", escaped(m.login) + "@" + escaped(m.target) +
                    (m.address.empty() ? "" : " (" + escaped(m.address) + ")"));
  line("rule", escaped(m.rule));
  line("start", when(m.start_us));
  line("end", seen.end ? when(end_us) : "open");
  const auto seconds = static_cast<std::int64_t>((end_us - m.start_us) / 1'000'000);
  line("length", seconds < 1 ? "<1s" : human_seconds(seconds));
  if (seen.end) {
    line("state", std::string(recording::end_state_name(seen.end->state)) +
                      (seen.end->reason.empty() ? "" : ": " + escaped(seen.end->reason)) +
                      (seen.is_signed ? ", signed" : ", not signed"));
  }
  line("kept", seen.held ? seen.held->text() : "");
  line("input", m.records_input ? "recorded" : "not recorded");
  for (const recording::SealedKey& key : m.keys) {
    line("readable by", escaped(key.recipient));
  }
  for (const auto& [number, channel] : seen.channels) {
    std::printf("\nchannel %u  %s\n", number,
                (channel.what.empty() ? channel.type : channel.what).c_str());
    line("  terminal", channel.terminal);
    std::printf("  %-8s out %s, err %s, in %s\n", "bytes", human_bytes(channel.out).c_str(),
                human_bytes(channel.err).c_str(), human_bytes(channel.in).c_str());
    if (channel.hidden > 0) {
      line("  hidden", human_bytes(channel.hidden) + " typed while the terminal did not echo");
    }
    if (channel.events > 0) {
      line("  events", grouped(channel.events));
    }
    line("  capped", channel.capped);
    line("  exit", channel.exit);
  }
  if (!seen.happened.empty()) {
    std::puts("");
  }
  for (const Happened& one : seen.happened) {
    const std::string where =
        one.channel == recording::kNoChannel ? "session" : "channel " + std::to_string(one.channel);
    std::printf("%s  %s  %s\n", when(one.time_us).substr(11, 8).c_str(), where.c_str(),
                happened_line(one.about).c_str());
  }
  if (seen.num_happened > seen.happened.size()) {
    std::printf("… and %s more\n", grouped(seen.num_happened - seen.happened.size()).c_str());
  }
}

}  // namespace

int recordings_show(const RecordingsOptions& options) {
  const auto recordings = Recordings::open(options);
  if (!recordings) {
    return complain(recordings.error(), 3);
  }
  const auto file = recordings->find(options.id);
  if (!file) {
    return complain(file.error(), 1);
  }
  Seen seen;
  if (const auto hold = recordings->files().hold(*file)) {
    seen.held.emplace(*hold);
  }
  const auto outcome = recordings->read(*file, [&](const recording::RecordingReader::Item& item) {
    if (const auto* metadata = std::get_if<recording::Metadata>(&item)) {
      seen.metadata = *metadata;
    } else if (const auto* entry = std::get_if<recording::Entry>(&item)) {
      seen.take(*entry);
    } else if (const auto* end = std::get_if<recording::End>(&item)) {
      seen.end = *end;
    } else {
      seen.is_signed = true;
    }
    return true;
  });
  if (!outcome) {
    return complain(outcome.error(), 3);
  }
  if (*options.json) {
    std::puts(json_of(seen, *outcome).dump(2, ' ', true, Json::error_handler_t::replace).c_str());
  } else if (!seen.metadata.session.empty()) {
    print(seen);
    std::fflush(stdout);
  }
  const int status = say_outcome(*outcome);
  return outcome->hidden ? 0 : status;  // the metadata was what could be shown
}

}  // namespace bastion::ctl
