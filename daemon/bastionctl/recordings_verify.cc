#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/escape.h"
#include "daemon/bastionctl/recordings.h"
#include "daemon/bastionctl/table.h"
#include "daemon/bastionctl/terminal.h"
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

bool good(const RecordingsOptions& options, Verdict verdict) {
  return verdict == Verdict::kProven || (verdict == Verdict::kUnproven && options.chain_only) ||
         (verdict == Verdict::kUnsealed && options.allow_open);
}

std::string word(Verdict verdict) {
  return verdict == Verdict::kBad ? "BAD" : std::string(recording::verdict_name(verdict));
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
  int status = 0;
  std::size_t num_good = 0;
  Json list = Json::array();
  for (const index::File& file : files) {
    recording::Verifier verifier(file.session, *keys);
    const auto read =
        recordings->files().read(file, [&](ByteView piece) { return verifier.feed(piece); });
    if (!read) {
      status = complain(read.error(), 3);
      continue;
    }
    const recording::VerifyResult result = verifier.finish();
    const bool is_good = good(options, result.verdict);
    num_good += is_good ? 1 : 0;
    status = is_good ? status : std::max(status, 1);
    if (*options.json) {
      Json each = {{"session", file.session},
                   {"day", file.day},
                   {"verdict", recording::verdict_name(result.verdict)},
                   {"good", is_good},
                   {"blocks", result.num_blocks},
                   {"bytes_right", result.head.offset}};
      if (result.end) {
        each["state"] = recording::end_state_name(result.end->state);
      }
      if (result.problem) {
        each["problem"] = recording::problem_name(result.problem->kind);
        each["where"] = recording::describe(*result.problem);
      }
      list.push_back(std::move(each));
    } else if (!options.all || !is_good) {
      std::printf("%s  %s", file.session.c_str(), word(result.verdict).c_str());
      if (result.problem) {
        std::printf("  %s", recording::describe(*result.problem).c_str());
      } else {
        std::printf("  %s blocks, %s, %s", grouped(result.num_blocks).c_str(),
                    human_bytes(result.head.offset).c_str(),
                    result.end ? std::string(recording::end_state_name(result.end->state)).c_str()
                               : "open");
      }
      std::putchar('\n');
    }
  }
  if (*options.json) {
    std::puts(list.dump(2).c_str());
  } else if (options.all) {
    std::printf("%s of %s recordings are %s\n", grouped(num_good).c_str(),
                grouped(files.size()).c_str(),
                options.chain_only ? "whole (signatures were not checked)" : "proven");
  }
  return status;
}

}  // namespace bastion::ctl
