#include "daemon/audit/verify.h"

#include <algorithm>

#include "base/escape.h"

namespace bastion::audit {

void Verifier::begin_file(std::string file) {
  file_ = std::move(file);
  line_ = 0;
}

void Verifier::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    overlong_ = overlong_ || partial_.size() + piece.size() > kLineBytesMax;
    if (!overlong_) {
      partial_ += piece;
    }
    if (end == std::string_view::npos) {
      return;
    }
    bytes.remove_prefix(end + 1);
    ++line_;
    if (overlong_) {
      problem(line_, "the line is too long");
    } else {
      take_line(partial_);
    }
    overlong_ = false;
    partial_.clear();
  }
}

void Verifier::take_line(std::string_view text) {
  const auto line = parse_line(text);
  if (bad_ &&
      !(line && line->event == info(Name::kAuditTorn).name && line->torn_hash == bad_->hash)) {
    problem(bad_->line, bad_->text);
    bad_.reset();
  }
  if (!line) {
    bad_ = Bad{line_, hash_text(text), std::string(line.error().text)};
    return;
  }
  if (line->event == info(Name::kAuditTorn).name) {
    if (bad_) {
      ++report_.num_torn;
    } else {
      problem(line_, "the torn line that it tells of is missing");
    }
  }
  bad_.reset();
  ++report_.num_lines;
  const Head& head = report_.head;
  if (report_.first_seq == 0) {
    report_.first_seq = line->seq;
    if (line->seq == 1 && line->prev != no_hash()) {
      problem(line_, "the first line of all has a line before it");
    }
  } else if (line->seq != head.seq + 1) {
    problem(line_, "line " + std::to_string(line->seq) + " stands behind line " +
                       std::to_string(head.seq));
  } else if (line->prev != head.hash) {
    problem(line_, "the line before it was changed");
  }
  if (line->event == info(Name::kAuditHead).name) {
    check_signature(*line);
  }
  report_.head = {line->seq, hash_text(text)};
  recent_.push_back(report_.head);
  if (recent_.size() > kHashesMax) {
    recent_.pop_front();
  }
  for (const Head& expected : expected_) {
    if (expected.seq == line->seq && expected.hash != report_.head.hash) {
      problem(line_, "the line is not the one that is known to stand here");
    }
  }
}

const HashText* Verifier::hash_of(std::uint64_t seq) const {
  const auto found = std::ranges::find(recent_, seq, &Head::seq);
  return found == recent_.end() ? nullptr : &found->hash;
}

void Verifier::check_signature(const Line& line) {
  if (line.signed_head.seq >= line.seq) {
    return problem(line_, "the signature is over lines that come later");
  }
  // One over a line that is in a file before the first given one vouches for nothing here.
  if (line.signed_head.seq >= report_.first_seq) {
    const HashText* hash = hash_of(line.signed_head.seq);
    if (hash == nullptr || *hash != line.signed_head.hash) {
      return problem(line_,
                     "the signature is over another line " + std::to_string(line.signed_head.seq));
    }
  }
  if (keys_.empty()) {
    ++report_.num_unchecked;
    return;
  }
  const auto key = std::ranges::find_if(keys_, [&](const crypto::PublicKey& candidate) {
    return candidate.fingerprint() == line.key;
  });
  if (key == keys_.end()) {
    return problem(line_, "the signature is by a key that was not given: " + escaped(line.key, 64));
  }
  if (!verify_head(*key, line.signed_head, line.signature)) {
    return problem(line_, "the signature is wrong");
  }
  ++report_.num_signatures;
  report_.signed_seq = std::max(report_.signed_seq, line.signed_head.seq);
}

void Verifier::end_file() {
  if (!partial_.empty() || overlong_) {
    ++line_;
    problem(line_, "the last line is not whole");
  }
  partial_.clear();
  overlong_ = false;
}

Report Verifier::finish() {
  if (bad_) {
    problem(bad_->line, bad_->text);
    bad_.reset();
  }
  for (const Head& expected : expected_) {
    const bool before = report_.first_seq != 0 && expected.seq < report_.first_seq;
    if (expected.seq != 0 && (before || expected.seq > report_.head.seq)) {
      problem(0, "line " + std::to_string(expected.seq) +
                     (before ? " is missing: the log begins behind it"
                             : " is missing: the log ends before it"));
    }
  }
  return report_;
}

void Verifier::problem(std::uint64_t line, std::string text) {
  ++report_.num_problems;
  if (report_.problems.size() < Report::kProblemsMax) {
    report_.problems.push_back({line == 0 ? std::string() : file_, line, std::move(text)});
  }
}

}  // namespace bastion::audit
