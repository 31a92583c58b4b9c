// What a caller may rely on (docs/semantics.md), and the invariants of docs/internals/record-append.md that can be seen from outside.

// ---------------------------------------------------------------- what the protocol announces to them

event eReadable: (handle: int, index: int, offset: int, frame: tFrame, view: int);     // a reader may see it at one replica
event eCommitted: (handle: int, offset: int, frame: tFrame);                           // an active primary raised the watermark over it
event eSequenced: (handle: int, index: int, offset: int, frame: tFrame);
event eViewActive: (index: int, ballot: int, log: seq[tFrame]);
event eRegistered: (writer: int, epoch: int);
event eOpened: (writer: int, epoch: int, last: int);
event eAcknowledged: (writer: int, sequence: int, place: tPlace);                      // place.sequence 0: the place is forgotten
event eAborted: (writer: int, epoch: int, sequence: int);
event eFenced: (writer: int, epoch: int);
event eOnDisk: (server: machine, handle: int, log: seq[tFrame]);
event eDiskDied: machine;
event eReplicaGoes: (server: machine, handle: int, log: seq[tFrame], known: int, copy: seq[tFrame]);   // known to be committed; copy: in its place
event eLossProven: int;                                                                // of which chunk
event eOperatorDecided: int;
event eReadBegan;
event eFileRead: set[(writer: int, sequence: int)];
event eWriters: int;
event eWriterEnded;

// Every acknowledged record is in the file once, at the place that was answered, and stays there.
spec ExactlyOnce observes eReadable, eAcknowledged, eViewActive {
  var seen: map[int, map[int, tFrame]];          // chunk index -> offset -> frame
  var since: map[int, map[int, int]];            // ... -> the lowest ballot in which it could be read
  var places: map[int, map[int, tPlace]];        // writer -> sequence -> place
  var seals: map[int, int];

  start state Watching {
    on eReadable do (m: (handle: int, index: int, offset: int, frame: tFrame, view: int)) {
      var place: tPlace;
      if (!(m.index in seen)) {
        seen[m.index] = default(map[int, tFrame]);
        since[m.index] = default(map[int, int]);
      }
      if (m.offset in seen[m.index]) {
        assert seen[m.index][m.offset] == m.frame,
          format("COMMITTED BYTES CHANGED at chunk {0} offset {1}: {2}, then {3}", m.index, m.offset, seen[m.index][m.offset], m.frame);
        since[m.index][m.offset] = Least(since[m.index][m.offset], m.view);
        return;
      }
      seen[m.index][m.offset] = m.frame;
      since[m.index][m.offset] = m.view;
      assert !(m.index in seals), format("A FRAME AFTER THE SEAL of chunk {0}: {1}", m.index, m.frame);
      if (m.frame.kind == SEAL) { seals[m.index] = m.offset; }
      if (m.frame.kind == DATA) {
        if (!(m.frame.writer in places)) { places[m.frame.writer] = default(map[int, tPlace]); }
        place = (sequence = m.frame.sequence, index = m.index, offset = m.offset);
        assert !(m.frame.sequence in places[m.frame.writer]), format("DUPLICATE of writer {0}: {1} and {2}", m.frame.writer, places[m.frame.writer][m.frame.sequence], place);
        places[m.frame.writer][m.frame.sequence] = place;
      }
    }
    on eAcknowledged do (m: (writer: int, sequence: int, place: tPlace)) {
      assert m.writer in places && m.sequence in places[m.writer], format("ACKNOWLEDGED BUT NOT COMMITTED: {0}", m);
      assert m.place.sequence == 0 || places[m.writer][m.sequence] == m.place, format("WRONG PLACE: {0}, it is at {1}", m, places[m.writer][m.sequence]);
    }
    // A primary that was replaced may finish its recovery late: only what could be read in lower ballots must be in its log.
    on eViewActive do (m: (index: int, ballot: int, log: seq[tFrame])) {
      var offset: int;
      if (!(m.index in seen)) { return; }
      foreach (offset in keys(seen[m.index])) {
        assert since[m.index][offset] >= m.ballot || (offset < sizeof(m.log) && m.log[offset] == seen[m.index][offset]),
          format("COMMITTED FRAME LOST by view {0} of chunk {1}: {2}", m.ballot, m.index, seen[m.index][offset]);
      }
    }
  }
}

// The records of a writer are in the file in its order, without gaps; nothing of an older epoch follows an INIT; what INIT answered is final.
spec WriterOrder observes eReadable, eOpened {
  var file: map[int, map[int, tFrame]];

  start state Watching {
    on eReadable do (m: (handle: int, index: int, offset: int, frame: tFrame, view: int)) {
      if (!(m.index in file)) { file[m.index] = default(map[int, tFrame]); }
      if (m.offset in file[m.index]) { return; }
      file[m.index][m.offset] = m.frame;
      Check(0, 0, 0);
    }
    on eOpened do (m: (writer: int, epoch: int, last: int)) { Check(m.writer, m.epoch, m.last); }
  }

  // Reads the file from its start. writer: 0, or one that was told, in this epoch, that its last sequence is in the file.
  fun Check(writer: int, epoch: int, told: int) {
    var index: int;
    var offset: int;
    var frame: tFrame;
    var last: map[int, int];
    var epochs: map[int, int];
    while (index in file) {
      offset = 0;
      while (offset in file[index]) {
        frame = file[index][offset];
        if (frame.kind == INIT_WRITER) {
          assert !(frame.writer in epochs) || frame.epoch > epochs[frame.writer], format("EPOCH WENT BACK: {0}", frame);
          epochs[frame.writer] = frame.epoch;
          if (!(frame.writer in last)) { last[frame.writer] = 0; }
        }
        if (frame.kind == DATA) {
          assert frame.writer in epochs && frame.epoch == epochs[frame.writer], format("ZOMBIE: {0} after INIT of {1}", frame, epochs);
          assert frame.sequence == last[frame.writer] + 1, format("ORDER: {0} follows sequence {1}", frame, last[frame.writer]);
          last[frame.writer] = frame.sequence;
        }
        offset = offset + 1;
      }
      if (offset == 0 || file[index][offset - 1].kind != SEAL) { break; }
      index = index + 1;
    }
    if (writer != 0) { assert writer in last && last[writer] >= told, format("INIT of writer {0} in epoch {1} was told {2}, the file says {3}", writer, epoch, told, last); }
  }
}

// No replica shows what no active primary has committed.
spec ReadersSeeOnlyCommitted observes eReadable, eCommitted {
  var committed: map[int, map[int, tFrame]];     // handle -> offset -> frame
  start state Watching {
    on eCommitted do (m: (handle: int, offset: int, frame: tFrame)) {
      if (!(m.handle in committed)) { committed[m.handle] = default(map[int, tFrame]); }
      committed[m.handle][m.offset] = m.frame;
    }
    on eReadable do (m: (handle: int, index: int, offset: int, frame: tFrame, view: int)) {
      assert m.handle in committed && m.offset in committed[m.handle] && committed[m.handle][m.offset] == m.frame,
        format("READABLE BUT NOT COMMITTED at chunk {0} offset {1}: {2}", m.index, m.offset, m.frame);
    }
  }
}

// What a writer called aborted never gets into the file; only an incarnation with a successor is fenced.
spec AbortedStaysAborted observes eReadable, eAborted, eRegistered, eFenced {
  var aborted: set[(writer: int, epoch: int, sequence: int)];
  var inFile: set[(writer: int, epoch: int, sequence: int)];
  var newest: map[int, int];
  start state Watching {
    on eRegistered do (m: (writer: int, epoch: int)) { newest[m.writer] = m.epoch; }
    on eFenced do (m: (writer: int, epoch: int)) { assert m.epoch < newest[m.writer], format("FENCED WITHOUT A SUCCESSOR: {0}", m); }
    on eAborted do (m: (writer: int, epoch: int, sequence: int)) {
      assert !(m in inFile), format("CALLED ABORTED, BUT IN THE FILE: {0}", m);
      aborted += (m);
    }
    on eReadable do (m: (handle: int, index: int, offset: int, frame: tFrame, view: int)) {
      var operation: (writer: int, epoch: int, sequence: int);
      if (m.frame.kind != DATA) { return; }
      operation = (writer = m.frame.writer, epoch = m.frame.epoch, sequence = m.frame.sequence);
      assert !(operation in aborted), format("ABORTED, BUT IN THE FILE: {0}", operation);
      inFile += (operation);
    }
  }
}

// Nothing is sequenced in a chunk before the SEAL of the one before it is committed; a ballot and an offset have one frame.
spec Sequencing observes eSequenced, eReadable {
  var frames: map[int, map[int, map[int, tFrame]]];       // handle -> ballot -> offset -> frame
  var sealed: set[int];                                   // indexes of chunks
  start state Watching {
    on eReadable do (m: (handle: int, index: int, offset: int, frame: tFrame, view: int)) { if (m.frame.kind == SEAL) { sealed += (m.index); } }
    on eSequenced do (m: (handle: int, index: int, offset: int, frame: tFrame)) {
      assert m.index == 0 || (m.index - 1) in sealed, format("CHUNK {0} BEGINS before the one before it ends: {1}", m.index, m.frame);
      if (!(m.handle in frames)) { frames[m.handle] = default(map[int, map[int, tFrame]]); }
      if (!(m.frame.ballot in frames[m.handle])) { frames[m.handle][m.frame.ballot] = default(map[int, tFrame]); }
      assert !(m.offset in frames[m.handle][m.frame.ballot]),
        format("TWO FRAMES IN ONE BALLOT at chunk {0} offset {1}: {2} and {3}", m.index, m.offset, frames[m.handle][m.frame.ballot][m.offset], m.frame);
      frames[m.handle][m.frame.ballot][m.offset] = m.frame;
    }
  }
}

// When the faults are over, every writer comes to its end.
spec Progress observes eWriters, eWriterEnded {
  var running: int;
  start state Idle { on eWriters goto Busy with (writers: int) { running = writers; } }
  hot state Busy {
    on eWriterEnded do {
      running = running - 1;
      if (running == 0) { goto Done; }
    }
  }
  cold state Done { ignore eWriterEnded; }
}

// A reader that comes to the end of the file has read all that was acknowledged before it began, or the loss is told.
spec NoSilentLoss observes eAcknowledged, eReadBegan, eFileRead, eLossProven, eOperatorDecided {
  var acknowledged: set[(writer: int, sequence: int)];
  var before: set[(writer: int, sequence: int)];
  var isTold: bool;
  start state Watching {
    on eAcknowledged do (m: (writer: int, sequence: int, place: tPlace)) { acknowledged += ((writer = m.writer, sequence = m.sequence)); }
    on eReadBegan do { before = acknowledged; }
    on eLossProven do { isTold = true; }
    on eOperatorDecided do { isTold = true; }
    on eFileRead do (records: set[(writer: int, sequence: int)]) {
      var record: (writer: int, sequence: int);
      foreach (record in before) { assert record in records || isTold, format("SILENT LOSS: {0} was acknowledged, and the file was read without it", record); }
    }
  }
}

// What could be read once stays on disks: a replica goes only when two others have all of that, or the copy that takes its place; and while one disk
// at most dies, it is always somewhere.
spec Kept observes eReadable, eOnDisk, eDiskDied, eReplicaGoes {
  var seen: map[int, map[int, tFrame]];                    // handle -> offset -> frame
  var disks: map[machine, map[int, seq[tFrame]]];
  start state Watching {
    on eReadable do (m: (handle: int, index: int, offset: int, frame: tFrame, view: int)) {
      if (!(m.handle in seen)) { seen[m.handle] = default(map[int, tFrame]); }
      if (!(m.offset in seen[m.handle])) { seen[m.handle][m.offset] = m.frame; }
    }
    on eOnDisk do (m: (server: machine, handle: int, log: seq[tFrame])) {
      if (!(m.server in disks)) { disks[m.server] = default(map[int, seq[tFrame]]); }
      disks[m.server][m.handle] = m.log;
    }
    on eReplicaGoes do (m: (server: machine, handle: int, log: seq[tFrame], known: int, copy: seq[tFrame])) {
      var offset: int;
      disks[m.server] -= (m.handle);
      if (!(m.handle in seen)) { return; }
      foreach (offset in keys(seen[m.handle])) {
        // Against a disk that forgets helps only what another one knows.
        if (IsIn(m.log, m.handle, offset) && !IsIn(m.copy, m.handle, offset) && (offset < m.known || world != (FORGETFUL to int))) {
          assert CopiesOf(m.handle, offset) >= 2,
            format("A COPY THAT IS NEEDED GOES: of chunk {0}, {1} other disks have what it has at offset {2}", m.handle, CopiesOf(m.handle, offset), offset);
        }
      }
    }
    on eDiskDied do (server: machine) {
      var h: int;
      var offset: int;
      if (server in disks) { disks -= (server); }
      if (world != (COLD_START to int)) { return; }
      foreach (h in keys(seen)) {
        foreach (offset in keys(seen[h])) {
          assert CopiesOf(h, offset) > 0, format("LOST with one disk: chunk {0} offset {1}: {2}", h, offset, seen[h][offset]);
        }
      }
    }
  }

  fun IsIn(log: seq[tFrame], h: int, offset: int): bool { return offset < sizeof(log) && log[offset] == seen[h][offset]; }

  fun CopiesOf(h: int, offset: int): int {
    var server: machine;
    var copies: int;
    foreach (server in keys(disks)) {
      if (h in disks[server] && IsIn(disks[server][h], h, offset)) { copies = copies + 1; }
    }
    return copies;
  }
}
