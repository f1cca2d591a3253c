// Digests of files from the worker's side of the ring to the recorder's.
#include <gtest/gtest.h>

#include <string>

#include "daemon/ipc/recorder_messages.h"
#include "daemon/recorder/digests.h"
#include "daemon/worker/file_digests.h"
#include "daemon/worker/file_events.h"

namespace bastion::daemon {
namespace {

using proto::FileEvent;
using proto::Leg;
using recorder::Digests;

constexpr std::uint32_t kWorker = 2;
constexpr std::uint32_t kGeneration = 9;
constexpr ipc::SessionId kSession = 77;
constexpr proto::ChannelNumber kChannel = 5;

FileEvent closed(std::uint32_t file, std::uint64_t written, bool whole = true) {
  FileEvent event;
  event.operation = proto::FileOperation::kClose;
  event.file = file;
  event.bytes_written = written;
  event.whole_written = whole;
  event.why_not_whole = whole ? "" : "written out of order";
  return event;
}

struct Files {
  UniqueFd memory = *record::make_memory();
  record::Producer ring{*record::Mapping::map(memory.get())};
  record::Consumer consumer{*record::Mapping::map(memory.get())};
  FileDigests digests{ring, kSession};
  Digests recorder;

  void write(std::uint32_t file, std::uint64_t offset, std::string_view bytes) {
    digests.data(kChannel, {file, Leg::kDownstream, offset, as_bytes(bytes)});
  }
  /// drain gives how many bytes of payloads there were.
  std::size_t drain() {
    std::size_t bytes = 0;
    while (consumer.tail() < *consumer.head()) {
      const auto frame = consumer.frame(consumer.tail(), *consumer.head());
      bytes += frame->payload.size();
      if (frame->header.kind == record::kKindDigest) {
        recorder.take(kWorker, kGeneration, *frame);
      }
      consumer.pass(frame->end);
    }
    return bytes;
  }
  std::optional<std::string> find(std::uint32_t digest) const {
    return recorder.find({kWorker, kSession, digest});
  }
};

constexpr std::string_view kAbc =
    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(FileDigests, AreOfTheWholeFileInHoweverManyPieces) {
  Files files;
  files.write(1, 0, "a");
  files.write(1, 1, "bc");
  const auto closed_file = files.digests.close(kChannel, closed(1, 3));
  EXPECT_TRUE(closed_file.missing.empty());
  files.drain();
  EXPECT_EQ(files.find(closed_file.refs.written), kAbc);
  EXPECT_EQ(closed_file.refs.read, 0U);
}

TEST(FileDigests, OfBothDirectionsAndOfSeveralFilesAreKeptApart) {
  Files files;
  files.digests.data(kChannel, {1, Leg::kUpstream, 0, as_bytes("ab")});
  files.write(1, 0, "ab");
  files.write(2, 0, "xyz");
  files.digests.data(kChannel + 1, {1, Leg::kDownstream, 0, as_bytes("other")});
  files.write(1, 2, "c");
  FileEvent event = closed(1, 3);
  event.bytes_read = 2;
  event.whole_read = true;
  const auto both = files.digests.close(kChannel, event);
  files.drain();
  EXPECT_EQ(files.find(both.refs.written), kAbc);
  EXPECT_EQ(files.find(both.refs.read),
            "sha256:fb8e20fc2e4c3f248c60c39bd652f3c1347298bb977b8b4d5903b85055620603");
}

TEST(FileDigests, AnEmptyFileNeedsNoRing) {
  Files files;
  const auto empty = files.digests.close(kChannel, closed(1, 0));
  EXPECT_TRUE(empty.empty_written);
  EXPECT_FALSE(empty.any());
  EXPECT_EQ(files.drain(), 0U);
}

TEST(FileDigests, APartHasNoneAndSaysWhy) {
  Files files;
  files.write(1, 0, "abc");
  const auto part = files.digests.close(kChannel, closed(1, 3, false));
  EXPECT_EQ(part.missing, "written out of order");
  EXPECT_FALSE(part.any());
  files.drain();
  EXPECT_EQ(files.recorder.size(), 0U) << "the recorder has let go of it";
}

TEST(FileDigests, FewerBytesThanTheEventSaysHaveNone) {
  Files files;
  files.write(1, 0, "abc");
  const auto short_one = files.digests.close(kChannel, closed(1, 4));
  EXPECT_FALSE(short_one.any());
  EXPECT_FALSE(short_one.missing.empty());
}

TEST(FileDigests, TooManyAtOnceHaveNone) {
  Files files;
  for (std::uint32_t file = 1; file <= FileDigests::kOpenMax + 1; ++file) {
    files.write(file, 0, "abc");
  }
  const auto over = files.digests.close(kChannel, closed(FileDigests::kOpenMax + 1, 3));
  EXPECT_EQ(over.missing, "too many files were open at once");
  const auto first = files.digests.close(kChannel, closed(1, 3));
  files.drain();
  EXPECT_EQ(files.find(first.refs.written), kAbc);
}

TEST(FileDigests, WaitWhereTheRecorderDoesNotKeepUp) {
  Files files;
  const std::string piece(32'768, 'x');
  std::uint64_t offset = 0;
  while (files.digests.has_room()) {
    files.write(1, offset, piece);
    offset += piece.size();
  }
  EXPECT_LT(offset, record::kDataBytes);
  EXPECT_FALSE(files.digests.has_room());
  files.drain();
  EXPECT_FALSE(files.digests.has_room()) << "until the next look";
  files.digests.look_again();
  EXPECT_TRUE(files.digests.has_room());
  const auto whole = files.digests.close(kChannel, closed(1, offset));
  files.drain();
  EXPECT_TRUE(files.find(whole.refs.written));
}

// A recorder that comes in the middle has not seen the beginning: it must have no digest, not one
// of the rest.
TEST(FileDigests, ARecorderThatComesLaterHasNoneOfWhatItDidNotSee) {
  Files files;
  files.write(1, 0, "abc");
  files.drain();
  files.recorder = Digests();
  files.write(1, 3, "abc");
  const auto whole = files.digests.close(kChannel, closed(1, 6));
  files.drain();
  EXPECT_TRUE(whole.any());
  EXPECT_FALSE(files.find(whole.refs.written));

  ipc::AuditEvent message{.event = audit::Event(audit::Name::kFile),
                          .worker = kWorker,
                          .session_number = kSession,
                          .digest_written = whole.refs.written};
  files.recorder.complete(message);
  EXPECT_EQ(message.event.text_of(audit::Key::kNoDigest), "the recorder was replaced meanwhile");
  EXPECT_EQ(message.event.find(audit::Key::kDigestWritten), nullptr);
}

TEST(FileDigests, AnEventGetsThoseOfItsOwnWorkerAlone) {
  Files files;
  files.write(1, 0, "abc");
  const auto whole = files.digests.close(kChannel, closed(1, 3));
  files.drain();
  ipc::AuditEvent message{.event = audit::Event(audit::Name::kFile),
                          .worker = kWorker,
                          .session_number = kSession,
                          .digest_written = whole.refs.written};
  ipc::AuditEvent other = message;
  other.worker = kWorker + 1;
  files.recorder.complete(message);
  EXPECT_EQ(message.event.text_of(audit::Key::kDigestWritten), kAbc);
  EXPECT_TRUE(message.event.check());
  files.recorder.complete(other);
  EXPECT_EQ(other.event.find(audit::Key::kDigestWritten), nullptr);
}

TEST(FileDigests, ARingThatGoesTakesWhatHadNotEnded) {
  Files files;
  files.write(1, 0, "abc");
  files.write(2, 0, "abc");
  const auto whole = files.digests.close(kChannel, closed(1, 3));
  files.drain();
  files.recorder.ring_gone(kGeneration + 1);
  EXPECT_EQ(files.recorder.size(), 2U);
  files.recorder.ring_gone(kGeneration);
  EXPECT_EQ(files.recorder.size(), 1U);
  EXPECT_TRUE(files.find(whole.refs.written)) << "its event may still come";
}

/// pieces gives a recorder the beginnings of so many files, and their ends if they have any.
void pieces(Digests& recorder, std::uint32_t worker, std::uint32_t count, bool ended) {
  for (std::uint32_t digest = 1; digest <= count; ++digest) {
    for (const std::uint32_t step : {record::DigestHeader::kContent, record::DigestHeader::kEnd}) {
      const bool content = step == record::DigestHeader::kContent;
      const record::DigestHeader about{.digest = digest, .step = step, .offset = content ? 0U : 3U};
      Bytes payload(sizeof about);
      std::memcpy(payload.data(), &about, sizeof about);
      if (content) {
        payload.insert(payload.end(), {'a', 'b', 'c'});
      }
      if (content || ended) {
        recorder.take(worker, kGeneration, {.header = {.session = kSession}, .payload = payload});
      }
    }
  }
}

TEST(FileDigests, AWorkerThatTakesAllItCanCostsTheOthersNothing) {
  Digests recorder;
  pieces(recorder, kWorker, Digests::kPerWorkerMax + 1, /*ended=*/false);
  EXPECT_EQ(recorder.size(), Digests::kPerWorkerMax);
  pieces(recorder, kWorker + 1, 1, /*ended=*/true);
  EXPECT_EQ(recorder.find({kWorker + 1, kSession, 1}), kAbc);
}

TEST(FileDigests, ThoseThatEndedFirstMakeRoom) {
  Digests recorder;
  pieces(recorder, kWorker, Digests::kPerWorkerMax + 1, /*ended=*/true);
  EXPECT_EQ(recorder.size(), Digests::kPerWorkerMax);
  EXPECT_FALSE(recorder.find({kWorker, kSession, 1}));
  EXPECT_EQ(recorder.find({kWorker, kSession, 2}), kAbc);
  recorder.forget({kWorker, kSession, 3});
  recorder.forget({kWorker, kSession, 3});
  EXPECT_EQ(recorder.size(), Digests::kPerWorkerMax - 1);
}

record::Frame entry_of(Bytes& payload, record::DigestRefs refs, std::string_view json) {
  payload.assign(sizeof refs, 0);
  std::memcpy(payload.data(), &refs, sizeof refs);
  payload.insert(payload.end(), json.begin(), json.end());
  return {.header = {.kind = record::kKindFileWithDigest, .session = kSession}, .payload = payload};
}

TEST(FileDigests, AnEntryOfARecordingIsCompleted) {
  Files files;
  files.write(1, 0, "abc");
  const auto whole = files.digests.close(kChannel, closed(1, 3));
  files.drain();
  const std::string blanks(record::kDigestRoomBytes, ' ');
  Bytes payload;
  const auto frame = entry_of(payload, whole.refs, "{\"event\":\"file\"" + blanks + "}");
  EXPECT_EQ(as_text(files.recorder.complete(kWorker, frame)),
            "{\"event\":\"file\",\"digest_written\":\"" + std::string(kAbc) + "\"}");
  EXPECT_EQ(as_text(files.recorder.complete(kWorker + 1, frame)),
            "{\"event\":\"file\",\"no_digest\":\"the recorder was replaced meanwhile\"}");
}

TEST(FileDigests, AMalformedEntryIsNone) {
  Files files;
  Bytes payload;
  for (const std::string_view json : {"", "}", "{", "{\"a\":1}"}) {
    const auto frame = entry_of(payload, {.read = 1, .written = 1}, json);
    EXPECT_TRUE(files.recorder.complete(kWorker, frame).empty()) << json;
  }
}

TEST(FileDigests, FramesThatMakeNoSenseGiveNoDigest) {
  for (const auto& [digest, step, offset] :
       {std::tuple(1U, 0U, std::uint64_t{2}), std::tuple(1U, 7U, std::uint64_t{0}),
        std::tuple(1U, 1U, std::uint64_t{0})}) {
    Files files;
    const record::DigestHeader about{.digest = digest, .step = step, .offset = offset};
    Bytes payload(sizeof about);
    std::memcpy(payload.data(), &about, sizeof about);
    record::Frame frame{.header = {.session = kSession}, .payload = payload};
    files.recorder.take(kWorker, kGeneration, frame);
    frame.payload = ByteView(payload).first(payload.size() - 1);
    files.recorder.take(kWorker, kGeneration, frame);
    EXPECT_FALSE(files.find(1));
  }
}

TEST(FileEvents, SayWhatHappened) {
  FileEvent event;
  event.operation = proto::FileOperation::kOpen;
  event.outcome = proto::FileOutcome::kRefused;
  event.file = 3;
  event.path = "/srv/\x1b[2J";
  event.open_flags = proto::kFileWrite | proto::kFileCreate | proto::kFileTruncate;
  event.attributes = {.has_mode = true, .mode = 0100644};
  event.reason = "not allowed";
  event.rule = "partners";
  const audit::Event told = file_event(event);
  EXPECT_TRUE(told.check());
  EXPECT_EQ(audit::object_of(told),
            R"({"event":"file","tool":"sftp","operation":"open","outcome":"refused",)"
            R"("file_number":3,"path":"/srv/\\x1b[2J","flags":"write create truncate",)"
            R"("attributes":"mode=0644","reason":"not allowed","rule":"partners"})");
}

TEST(FileEvents, OfACloseHaveTotalsAndStatus) {
  FileEvent event = closed(1, 5);
  event.path = "x";
  event.duration_us = 7;
  EXPECT_EQ(audit::object_of(file_event(event)),
            R"({"event":"file","tool":"sftp","operation":"close","outcome":"done","file_number":1,)"
            R"("path":"x","bytes_read":0,"bytes_written":5,"whole_written":true,"status":0,)"
            R"("duration_us":7})");
}

}  // namespace
}  // namespace bastion::daemon
