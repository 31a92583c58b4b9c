// The world of one schedule: four chunk servers, one master, a writer in two incarnations and another writer, faults at any moment.

machine Faults {
  var servers: set[machine];
  var master: machine;
  var left: int;
  var pause: int;
  var powerLosses: int;
  var struck: machine;                                     // what failed once fails again

  start state Striking {
    entry (p: (servers: set[machine], master: machine)) {
      servers = p.servers;
      master = p.master;
      left = faults;
      powerLosses = 1;
      pause = 30;
      send this, eTick;
    }
    on eTick do {
      if (choose(pause) == 0) {
        if (left == 0) { raise halt; }
        left = left - 1;
        Strike();
        pause = 4;                                         // misfortunes never come singly
        if ($) { pause = 60; }
      }
      send this, eTick;
    }
  }

  fun Strike() {
    var fault: int;
    fault = choose(12);
    if (struck == null || $) { struck = choose(servers); }
    if (fault < 2) { send struck, eKill; }
    else if (fault < 4) { LosePower(); }
    else if (fault < 6) { send struck, eDieMidway; }
    else if (fault < 8) { send struck, eDiskFull; }
    else if (fault == 8) { send struck, eLeaseOver; }
    else if (fault == 9) { send master, eMasterCrash; }
    else if (fault == 10) { send master, eReplacePrimary; }
    else { send master, eEndChunk; }
  }

  // With memory durability not of all replicas at once.
  fun LosePower() {
    if (memory) {
      if (powerLosses == 0) { return; }
      powerLosses = powerLosses - 1;
    }
    send struck, ePowerLoss;
  }
}

machine World {
  start state Made {
    entry {
      var servers: set[machine];
      var server: machine;
      var master: machine;
      var patience: int;
      while (sizeof(servers) < 4) { servers += (new ChunkServer()); }
      master = new Master(servers);
      foreach (server in servers) { send server, eMaster, master; }
      // With memory durability a chunk may be unavailable for ever: its last member is suspect. The others wait as long as it takes.
      patience = -1;
      if (memory) { patience = 40; }
      announce eWriters, 3;
      new Writer((master = master, writer = 1, target = 4, patience = patience));
      new Writer((master = master, writer = 1, target = 5, patience = patience));
      new Writer((master = master, writer = 2, target = 4, patience = patience));
      if (faults > 0) { new Faults((servers = servers, master = master)); }
    }
  }
}

test param (mutation in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30],
            memory in [false, true], faults in [0, 8])
  tcAppend [main = World]:
  assert ExactlyOnce, WriterOrder, ReadersSeeOnlyCommitted, AbortedStaysAborted, Sequencing, Progress in
  { World, Faults, ChunkServer, Master, Writer, Timer, Delayed };
