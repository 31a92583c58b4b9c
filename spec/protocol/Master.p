// The master of one file: where its chunks are, who may append to the last one (src/Semel.Master/Chunks, Views). What is logged is durable
// at once; a restart forgets the view change and the making of a chunk that were under way. It goes on when a client asks. As harsh as the
// protocol allows: it replaces primaries for no reason and leaves out members that are well.

type tChunk = (index: int, version: int, reserved: int, members: set[machine], primary: machine, sealedLength: int, baseDigest: tTable);

machine Master {
  var servers: set[machine];

  // Logged.
  var chunks: map[int, tChunk];
  var tail: int;                           // handle of the last chunk; 0: none
  var lastHandle: int;
  var epochs: map[int, int];

  // One view change, of the tail. changing 0: none; otherwise the version that is promised.
  var changing: int;
  var answers: map[machine, bool];         // member -> is suspect
  var accused: set[machine];

  // One making of a chunk. making 0: none; otherwise its handle.
  var making: int;
  var tried: set[machine];
  var made: set[machine];

  start state Serving {
    entry (chunkServers: set[machine]) { servers = chunkServers; }

    on eRegisterWriter do OnRegisterWriter;
    on eLocateTail do OnLocateTail;
    on eCreateChunkReply do OnCreateChunkReply;
    on ePromiseReply do OnPromiseReply;
    on eSuspect do OnSuspect;
    on eSealed do OnSealed;

    on eMasterCrash do { changing = 0; making = 0; }
    on eReplacePrimary do {
      if (TailIsOpen() && changing == 0) { StartViewChange(SomeOf(chunks[tail].members)); }
    }
    on eEndChunk do {
      if (TailIsOpen()) { Send(chunks[tail].primary, eSealChunk, (handle = tail, version = chunks[tail].version)); }
    }
  }

  fun TailIsOpen(): bool { return tail != 0 && chunks[tail].sealedLength == 0; }

  fun SomeOf(members: set[machine]): set[machine] {
    var member: machine;
    var some: set[machine];
    foreach (member in members) { if ($) { some += (member); } }
    return some;
  }

  fun OnRegisterWriter(m: (client: machine, writer: int)) {
    if (!(m.writer in epochs)) { epochs[m.writer] = 0; }
    epochs[m.writer] = epochs[m.writer] + 1;
    announce eRegistered, (writer = m.writer, epoch = epochs[m.writer]);
    send m.client, eRegisterWriterReply, (epoch = epochs[m.writer],);
  }

  fun OnLocateTail(m: (client: machine, question: int, suspectHandle: int, suspectVersion: int)) {
    var doubt: int;
    if (!TailIsOpen()) { MakeChunk(); return; }
    if (changing != 0) {
      if (choose(6) == 0) { StartViewChange(accused); }    // it had ended without a decision
      else { AskForPromises(); }
      return;
    }
    if (m.suspectHandle == tail && m.suspectVersion == chunks[tail].version) {
      doubt = choose(3);
      if (doubt == 0) { Grant(false); }
      if (doubt == 1) { StartViewChange(SomeOf(chunks[tail].members)); return; }
    }
    Send(m.client, eLocateTailReply, (question = m.question, handle = tail, index = chunks[tail].index, version = chunks[tail].version,
      primary = chunks[tail].primary));
  }

  // ================================================================ making the next chunk

  fun MakeChunk() {
    var server: machine;
    var untried: set[machine];
    if (making == 0) {
      lastHandle = lastHandle + 1;
      making = lastHandle;
      tried = default(set[machine]);
      made = default(set[machine]);
    }
    foreach (server in servers) { if (!(server in tried)) { untried += (server); } }
    while (sizeof(tried) < Replicas() || (sizeof(untried) > 0 && choose(3) == 0)) {
      server = choose(untried);
      untried -= (server);
      tried += (server);
    }
    foreach (server in tried) { if (!(server in made)) { AskToCreate(server); } }
  }

  fun AskToCreate(server: machine) {
    var base: tChunkBase;
    var index: int;
    if (tail != 0) {
      base = (previousHandle = tail, previousLength = chunks[tail].sealedLength, digest = chunks[tail].baseDigest, sources = chunks[tail].members);
      index = chunks[tail].index + 1;
    }
    Send(server, eCreateChunk, (handle = making, index = index, base = base));
  }

  fun OnCreateChunkReply(m: (server: machine, handle: int)) {
    var chunk: tChunk;
    if (m.handle != making) { return; }
    made += (m.server);
    if (sizeof(made) < MinMembers() || (sizeof(made) < Replicas() && $)) { return; }
    if (tail != 0) { chunk.index = chunks[tail].index + 1; }
    chunk.version = 1;
    chunk.reserved = 1;
    chunk.members = made;
    chunk.primary = choose(made);
    tail = making;
    chunks[tail] = chunk;                                  // logged: now it exists
    making = 0;
    changing = 0;
    Grant(false);
  }

  fun Grant(seal: bool) {
    Send(chunks[tail].primary, eGrant, (handle = tail, version = chunks[tail].version, members = chunks[tail].members, seal = seal));
  }

  // ================================================================ view changes

  // Step 1: the version is reserved in the log before the first promise leaves.
  fun StartViewChange(without: set[machine]) {
    chunks[tail].reserved = chunks[tail].reserved + 1;
    changing = chunks[tail].reserved;
    answers = default(map[machine, bool]);
    accused = without;
    AskForPromises();
  }

  fun AskForPromises() {
    var member: machine;
    var asked: set[machine];
    asked = chunks[tail].members;
    if (Planted(LEFT_OUT_COMES_BACK)) { asked = servers; }
    foreach (member in asked) {
      if (!(member in answers)) { Send(member, ePromise, (handle = tail, version = changing)); }
    }
  }

  // Step 2: all are waited for, or not.
  fun OnPromiseReply(m: (member: machine, handle: int, version: int, suspect: bool)) {
    if (m.handle != tail || changing == 0 || m.version != changing || !TailIsOpen()) { return; }
    answers[m.member] = m.suspect;
    if (sizeof(answers) == sizeof(chunks[tail].members) || $) { Decide(); }
  }

  // Step 3: whoever answered holds everything that was ever decided, so any selection and any primary will do; but not those that may have
  // forgotten, and those that are accused only when nobody else is left. Step 4: the primary is told.
  fun Decide() {
    var member: machine;
    var clean: set[machine];
    var chosen: set[machine];
    foreach (member in keys(answers)) {
      if (!answers[member]) {
        clean += (member);
        if (!(member in accused)) { chosen += (member); }
      }
    }
    if (sizeof(chosen) == 0) { chosen = clean; }
    if (sizeof(chosen) == 0) { return; }
    chunks[tail].version = changing;
    chunks[tail].members = chosen;
    chunks[tail].primary = choose(chosen);                 // logged: the decision
    changing = 0;
    Grant(sizeof(chosen) < MinMembers() || (sizeof(chosen) < Replicas() && $));
  }

  fun OnSuspect(m: (sender: machine, handle: int, version: int, member: machine)) {
    var without: set[machine];
    if (!TailIsOpen() || m.handle != tail || m.version != chunks[tail].version || m.sender != chunks[tail].primary) { return; }
    without += (m.member);
    if (changing == 0) { StartViewChange(without); }
    else { accused += (m.member); }
  }

  // ================================================================ the end of a chunk

  fun OnSealed(m: (sender: machine, handle: int, version: int, length: int, baseDigest: tTable)) {
    var server: machine;
    if (!TailIsOpen() || m.handle != tail) { return; }
    if ((m.version != chunks[tail].version || m.sender != chunks[tail].primary) && !Planted(SEALED_OF_REPLACED)) { return; }
    chunks[tail].sealedLength = m.length;
    chunks[tail].baseDigest = m.baseDigest;                // logged
    changing = 0;
    // The master says it to those who seem to have missed it; here to everybody.
    foreach (server in servers) { Send(server, eConfirmSeal, (handle = tail, version = chunks[tail].version, length = m.length)); }
    if ($) { MakeChunk(); }
  }
}
