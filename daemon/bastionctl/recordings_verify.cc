#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/escape.h"
#include "daemon/bastionctl/recordings.h"
#include "daemon/bastionctl/table.h"
#include "daemon/bastionctl/terminal.h"
#include "daemon/bastionctl/told_recordings.h"
#include "daemon/recording/verify.h"

namespace bastion::ctl {
namespace {

using Json = nlohmann::json;
using recording::Verdict;

constexpr const char* kUsualKey = "/etc/bastiond/audit_key.pub";

std::expected<std::vector<crypto::PublicKey>, std::string> read_keys(
    const std::vector<std::string>& paths) {
  std::vector<crypto::PublicKey> keys;
  for (const std::string& path : paths) {
    std::ifstream file(path);
    std::string line;
    std::size_t in_file = 0;
    while (std::getline(file, line)) {
      if (line.empty() || line.front() == '#') {
        continue;
      }
      auto key = crypto::PublicKey::parse_line(line);
      if (!key || key->type() != crypto::KeyType::kEd25519) {
        return std::unexpected(path + ": not an Ed25519 public key");
      }
      keys.push_back(*std::move(key));
      ++in_file;
    }
    if (in_file == 0) {
      return std::unexpected("cannot read a public key from " + path);
    }
  }
  return keys;
}

/// Check holds recordings against themselves and against what the audit log tells of them, and says
/// what it finds.
class Check {
 public:
  Check(const RecordingsOptions& options, const Recordings& recordings,
        std::span<const crypto::PublicKey> keys, const ToldRecordings* told)
      : options_(options), files_(recordings.files()), keys_(keys), told_(told) {}

  void log();
  void file(const index::File& file);
  /// missing looks for what the log tells of and `files` does not have.
  void missing(const std::vector<index::File>& files);
  /// finish prints what was gathered, and gives the exit status.
  int finish(std::size_t num_files);

 private:
  bool good(Verdict verdict) const {
    return verdict == Verdict::kProven || (verdict == Verdict::kUnproven && options_.chain_only) ||
           (verdict == Verdict::kUnsealed && options_.allow_open);
  }
  /// extra says why the log has no place for the file; empty: it has, or need not have.
  std::string extra(const index::File& file, const recording::VerifyResult& result);
  void say(const index::File& file, std::string_view name, bool is_good, const std::string& where,
           const recording::VerifyResult* result);

  const RecordingsOptions& options_;
  const index::Files& files_;
  std::span<const crypto::PublicKey> keys_;
  const ToldRecordings* told_;
  int status_ = 0;
  std::size_t num_good_ = 0;
  std::size_t num_older_ = 0;
  std::size_t num_missing_ = 0;
  Json list_ = Json::array();
};

void Check::log() {
  const audit::Report& report = told_->report();
  if (report.ok()) {
    return;
  }
  status_ = 1;
  const audit::Problem& first = report.problems.front();
  const std::string where =
      first.line == 0 ? "" : first.file + ":" + std::to_string(first.line) + ": ";
  (void)complain(
      "the audit log is not good (bastionctl audit verify says more): " + where + first.text, 1);
}

std::string Check::extra(const index::File& file, const recording::VerifyResult& result) {
  const Told* told = told_ == nullptr ? nullptr : told_->find(file.session);
  if (told != nullptr) {
    return told->day.empty() || told->day == file.day
               ? std::string()
               : "the audit log tells of it in " + told->day + ", not in " + file.day;
  }
  // One that is open may be a moment ahead of the log.
  if (told_ == nullptr || result.verdict == Verdict::kUnsealed || !result.metadata) {
    return {};
  }
  constexpr std::uint64_t kSecondUs = 1'000'000;  // a session's begin is in whole seconds
  if (result.metadata->start_us / kSecondUs < told_->first_us() / kSecondUs) {
    ++num_older_;
    return {};
  }
  return "the audit log tells of no such recording";
}

void Check::file(const index::File& file) {
  recording::Verifier verifier(file.session, keys_);
  if (const Told* told = told_ == nullptr ? nullptr : told_->find(file.session); told != nullptr) {
    for (const auto& head : {told->last, told->end}) {
      if (head) {
        verifier.expect(*head);
      }
    }
  }
  const auto read = files_.read(file, [&](ByteView piece) { return verifier.feed(piece); });
  if (!read) {
    status_ = complain(read.error(), 3);
    return;
  }
  const recording::VerifyResult result = verifier.finish();
  const std::string why = extra(file, result);
  if (!why.empty()) {
    return say(file, "extra", false, why, &result);
  }
  const bool is_good = good(result.verdict);
  num_good_ += is_good ? 1 : 0;
  if (*options_.json || !options_.all || !is_good) {
    say(file, recording::verdict_name(result.verdict), is_good,
        result.problem ? recording::describe(*result.problem) : "", &result);
  }
}

void Check::missing(const std::vector<index::File>& files) {
  std::set<std::string> there;
  const auto add = [&](const std::vector<index::File>& some) {
    for (const index::File& file : some) {
      const Told* told = told_->find(file.session);
      if (told != nullptr && (told->day.empty() || told->day == file.day)) {
        there.insert(file.session);
      }
    }
  };
  add(files);
  const auto lacks = [&](const auto& each) {
    return !each.second.removed && !there.contains(each.first);
  };
  if (std::ranges::any_of(told_->sessions(), lacks)) {
    add(files_.with_prefix(""));  // it may have begun since
  }
  std::map<std::string, std::string> lacking;  // in order: session, day
  for (const auto& each : told_->sessions()) {
    if (lacks(each)) {
      lacking[each.first] = each.second.day;
    }
  }
  for (const auto& [session, day] : lacking) {
    ++num_missing_;
    say({day, session, 0, 0}, "missing", false,
        "the audit log tells of it" + (day.empty() ? "" : " in " + day) +
            ", and not that retention removed it",
        nullptr);
  }
}

void Check::say(const index::File& file, std::string_view name, bool is_good,
                const std::string& where, const recording::VerifyResult* result) {
  status_ = is_good ? status_ : std::max(status_, 1);
  if (*options_.json) {
    Json each = {
        {"session", file.session}, {"day", file.day}, {"verdict", name}, {"good", is_good}};
    if (result != nullptr) {
      each["blocks"] = result->num_blocks;
      each["bytes_right"] = result->head.offset;
      if (result->end) {
        each["state"] = recording::end_state_name(result->end->state);
      }
      if (result->problem) {
        each["problem"] = recording::problem_name(result->problem->kind);
      }
    }
    if (!where.empty()) {
      each["where"] = where;
    }
    list_.push_back(std::move(each));
    return;
  }
  std::string word(name);
  if (name == "bad" || name == "extra" || name == "missing") {
    std::ranges::transform(word, word.begin(), [](char c) { return static_cast<char>(c - 32); });
  }
  std::printf("%s  %s  ", file.session.c_str(), word.c_str());
  if (!where.empty()) {
    std::puts(where.c_str());
  } else {
    std::printf(
        "%s blocks, %s, %s\n", grouped(result->num_blocks).c_str(),
        human_bytes(result->head.offset).c_str(),
        result->end ? std::string(recording::end_state_name(result->end->state)).c_str() : "open");
  }
}

int Check::finish(std::size_t num_files) {
  if (*options_.json) {
    std::puts(list_.dump(2).c_str());
    return status_;
  }
  if (options_.all) {
    std::printf("%s of %s recordings are %s\n", grouped(num_good_).c_str(),
                grouped(num_files).c_str(),
                options_.chain_only ? "whole (signatures were not checked)" : "proven");
    if (told_ != nullptr) {
      std::printf("the audit log (lines %s to %s) tells of %s; %s missing\n",
                  grouped(told_->report().first_seq).c_str(),
                  grouped(told_->report().head.seq).c_str(),
                  grouped(told_->sessions().size()).c_str(), grouped(num_missing_).c_str());
    }
  }
  if (num_older_ != 0) {
    std::printf("%s began before the audit log's first line, which cannot tell of them\n",
                grouped(num_older_).c_str());
  }
  return status_;
}

}  // namespace

int recordings_verify(const RecordingsOptions& options) {
  if (options.ids.empty() != options.all) {
    return complain("give ids, or --all", 2);
  }
  std::vector<std::string> paths = options.key_files;
  if (paths.empty() && !options.chain_only && access(kUsualKey, R_OK) == 0) {
    paths.emplace_back(kUsualKey);
  }
  if (paths.empty() != options.chain_only) {
    return complain("give the audit key's public half by --key FILE, or --chain-only", 2);
  }
  const auto keys = read_keys(paths);
  if (!keys) {
    return complain(keys.error(), 2);
  }
  const auto recordings = Recordings::open(options);
  if (!recordings) {
    return complain(recordings.error(), 3);
  }
  std::vector<index::File> files;
  if (options.all) {
    files = recordings->files().with_prefix("");
  }
  for (const std::string& id : options.ids) {
    const auto file = recordings->find(id);
    if (!file) {
      return complain(file.error(), 1);
    }
    files.push_back(*file);
  }
  // After the files: a recording is in its folder before the log tells of it.
  std::optional<ToldRecordings> told;
  if (!options.audit_log.empty()) {
    auto read = ToldRecordings::read(options.audit_log, *keys);
    if (!read) {
      return complain(read.error(), 3);
    }
    told = *std::move(read);
  }
  Check check(options, *recordings, *keys, told ? &*told : nullptr);
  if (told) {
    check.log();
  }
  for (const index::File& file : files) {
    check.file(file);
  }
  if (told && options.all) {
    check.missing(files);
  }
  return check.finish(files.size());
}

}  // namespace bastion::ctl
