// Reads the whole file, several times, and asks for as long as it takes (src/Semel.Client/Reading). Only the worlds of the cold start have one.

machine Reader {
  var master: machine;
  var timer: machine;
  var question: int;
  var complains: bool;
  var chunks: seq[tLocation];
  var at: int;
  var records: set[(writer: int, sequence: int)];
  var readings: int;
  var patience: int;                     // questions to the master before it gives up

  start state Idle {
    entry (p: (master: machine, patience: int)) {
      master = p.master;
      patience = p.patience;
      timer = new Timer(this);
      send timer, eSetTimer, 0;
    }
    on eNoAnswer do {
      announce eReadBegan;
      goto Locating;
    }
  }

  state Locating {
    entry {
      question = question + 1;
      if (patience == 0) { goto Ended; }
      patience = patience - 1;
      Send(master, eLocateChunks, (reader = this, question = question, complains = complains));
      send timer, eSetTimer, question;
    }
    on eLocateChunksReply do (m: (question: int, chunks: seq[tLocation])) {
      if (m.question != question) { return; }
      chunks = m.chunks;
      at = 0;
      records = default(set[(writer: int, sequence: int)]);
      goto Reading;
    }
    on eNoAnswer do { goto Locating; }
    ignore eReadReply;
  }

  state Reading {
    entry {
      question = question + 1;
      send timer, eSetTimer, question;
      ReadNext();
    }
    on eReadReply do (m: (question: int, handle: int, frames: seq[tFrame])) {
      var end: int;
      var offset: int;
      if (m.question != question || at >= sizeof(chunks) || m.handle != chunks[at].handle) { return; }
      end = sizeof(m.frames);
      if (chunks[at].sealedLength > 0) { end = chunks[at].sealedLength; }
      else if (chunks[at].settledEnd >= 0) { end = chunks[at].settledEnd; }
      // Not all of it is here; and a sealed chunk ends in its SEAL.
      if (sizeof(m.frames) < end || (chunks[at].sealedLength > 0 && !EndsInSeal(Prefix(m.frames, end)))) { return; }
      while (offset < end) {
        if (m.frames[offset].kind == DATA) { records += ((writer = m.frames[offset].writer, sequence = m.frames[offset].sequence)); }
        offset = offset + 1;
      }
      at = at + 1;
      ReadNext();
    }
    on eNoAnswer do (asked: int) {
      if (asked != question) { return; }
      complains = true;
      goto Locating;
    }
    ignore eLocateChunksReply;
  }

  state Ended {
    entry { announce eWriterEnded; }
    ignore eNoAnswer, eLocateChunksReply, eReadReply;
  }

  fun ReadNext() {
    var version: int;
    if (at == sizeof(chunks)) {
      announce eFileRead, records;
      complains = false;
      readings = readings + 1;
      if (readings == 3) { goto Ended; }
      send timer, eSetTimer, 0;
      goto Resting;
    }
    if (chunks[at].sealedLength == 0 && chunks[at].settledEnd < 0) { version = chunks[at].version; }
    Send(choose(chunks[at].holders), eRead, (reader = this, question = question, handle = chunks[at].handle, version = version));
  }

  state Resting {
    on eNoAnswer do {
      if (choose(4) > 0) { send timer, eSetTimer, 0; return; }
      announce eReadBegan;
      goto Locating;
    }
    ignore eLocateChunksReply, eReadReply;
  }
}
