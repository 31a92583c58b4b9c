// The words of the protocol: what a log consists of, who remembers what. docs/internals/spec.md says what is left out.

enum tFrameKind { DATA, INIT_WRITER, SEAL }

// A batch is one frame, and has one record here. An offset counts frames. `committed` is the watermark when the frame was
// sequenced, as in the header on the disk.
type tFrame = (kind: tFrameKind, ballot: int, writer: int, epoch: int, sequence: int, committed: int);

// Where a batch is. Of no meaning with sequence 0.
type tPlace = (sequence: int, index: int, offset: int);

// The writer table: a fold over the log. A digest of a table is modelled by the table itself, and only ever compared.
type tWriterEntry = (epoch: int, last: int, places: seq[tPlace]);
type tTable = map[int, tWriterEntry];

// Which ballot sequenced which stretch of a log.
type tStretch = (ballot: int, from: int);

// Where a new chunk's base comes from. previousHandle 0: the file's first chunk.
type tChunkBase = (previousHandle: int, previousLength: int, digest: tTable, sources: set[machine]);

// What a chunk server says of one replica; gone: that it has none.
type tReport = (server: machine, handle: int, gone: bool, lastView: int, tail: int, committed: int, endsInSeal: bool, isSealed: bool);

// ---------------------------------------------------------------- sizes: small, so that the rare is common

fun Capacity(): int { return 3; }          // frames before a chunk is sealed
fun Window(): int { return 3; }            // places that the table remembers of a writer
fun MaxInFlight(): int { return 2; }       // batches that a writer has under way
fun Replicas(): int { return 3; }
fun MinMembers(): int { return 2; }

// ---------------------------------------------------------------- ballots: version * 100 + attempt

fun BallotOf(version: int): int { return version * 100; }
fun VersionOf(ballot: int): int { return ballot / 100; }

fun Least(a: int, b: int): int { if (a < b) { return a; } return b; }
fun Most(a: int, b: int): int { if (a > b) { return a; } return b; }

// ---------------------------------------------------------------- logs
// The compiler does not copy what is passed to a function: arguments are read, never changed.

fun Prefix(log: seq[tFrame], length: int): seq[tFrame] {
  var frames: seq[tFrame];
  while (sizeof(frames) < length && sizeof(frames) < sizeof(log)) { frames += (sizeof(frames), log[sizeof(frames)]); }
  return frames;
}

fun FramesFrom(log: seq[tFrame], from: int): seq[tFrame] {
  var frames: seq[tFrame];
  var offset: int;
  offset = from;
  while (offset < sizeof(log)) {
    frames += (sizeof(frames), log[offset]);
    offset = offset + 1;
  }
  return frames;
}

fun EndsInSeal(log: seq[tFrame]): bool {
  return sizeof(log) > 0 && log[sizeof(log) - 1].kind == SEAL;
}

// Knows of a committed frame that a sealed chunk of this length does not have: the SEAL is the chunk's last frame, and no record. Not of a
// replica that has all of the chunk.
fun HasMore(committed: int, sealedLength: int): bool {
  if (Planted(SEAL_COUNTED)) { return committed > sealedLength; }
  return committed >= sealedLength;
}

// How far the log was once known to be committed, as its frames say.
fun CommittedHint(log: seq[tFrame]): int {
  var frame: tFrame;
  var hint: int;
  foreach (frame in log) { hint = Most(hint, frame.committed); }
  return hint;
}

fun LineageOf(log: seq[tFrame]): seq[tStretch] {
  var lineage: seq[tStretch];
  var offset: int;
  while (offset < sizeof(log)) {
    if (sizeof(lineage) == 0 || lineage[sizeof(lineage) - 1].ballot != log[offset].ballot) {
      lineage += (sizeof(lineage), (ballot = log[offset].ballot, from = offset));
    }
    offset = offset + 1;
  }
  return lineage;
}

// Length of the common prefix of two logs of which only the lineages and tails are compared: a ballot and an offset determine
// the frame.
fun CommonPrefix(ours: seq[tStretch], tail: int, theirs: seq[tStretch], theirTail: int): int {
  var common: int;
  var i: int;
  var end: int;
  var theirEnd: int;
  while (i < sizeof(ours) && i < sizeof(theirs) && ours[i] == theirs[i]) {
    end = tail;
    if (i + 1 < sizeof(ours)) { end = ours[i + 1].from; }
    theirEnd = theirTail;
    if (i + 1 < sizeof(theirs)) { theirEnd = theirs[i + 1].from; }
    common = Least(end, theirEnd);
    if (end != theirEnd) { return common; }
    i = i + 1;
  }
  return common;
}

// ---------------------------------------------------------------- the table

fun Fold(base: tTable, index: int, log: seq[tFrame], end: int): tTable {
  var table: tTable;
  var row: tWriterEntry;
  var offset: int;
  table = base;
  while (offset < end) {
    if (log[offset].kind != SEAL) {
      row = default(tWriterEntry);
      if (log[offset].writer in table) { row = table[log[offset].writer]; }
      row.epoch = log[offset].epoch;
      if (log[offset].kind == DATA) {
        row.last = log[offset].sequence;
        if (sizeof(row.places) == Window()) { row.places -= (0); }
        row.places += (sizeof(row.places), (sequence = log[offset].sequence, index = index, offset = offset));
      }
      table[log[offset].writer] = row;
    }
    offset = offset + 1;
  }
  return table;
}
