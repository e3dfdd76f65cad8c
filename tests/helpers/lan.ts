// A LAN of network namespaces for tests: switches, and hosts with interfaces on them that can be cut, changed and firewalled.

import { existsSync } from "node:fs";

/** What an interface of a host is plugged into, and its addresses with their prefix, such as `10.77.0.1/24`. */
export interface Plug {
  to: Switch;
  addresses?: string[];
  /** Whether it has IPv6, and so a link-local address; if not given, only if one of its addresses is of IPv6. */
  ipv6?: boolean;
}

/** A switch: what is sent to one port's group reaches all others. */
export interface Switch {
  readonly bridge: string;
}

/** What a firewall drops: by default everything that comes in to this port, or to all. */
interface Drop {
  protocol: "tcp" | "udp";
  port: number | "all";
  way?: "in" | "out";
}

/** A command that sets up the network and does not end within this time hangs. Milliseconds. */
const COMMAND_MS = 50_000;
let impossible: string | undefined | null = null;
let made = 0;

/** Takes away what tests left behind that were killed, and the programs that still run there. */
function sweep(): void {
  for (const [name, pid] of run("ip", "netns", "list").matchAll(/^ft(\d+)x\d+\w+/gm)) {
    if (existsSync(`/proc/${pid}`)) continue;
    const { stdout } = Bun.spawnSync(["ip", "netns", "pids", name], { timeout: COMMAND_MS });
    for (const left of stdout.toString().trim().split(/\s+/).filter(Boolean)) Bun.spawnSync(["kill", "-9", left]);
    Bun.spawnSync(["ip", "netns", "del", name], { timeout: COMMAND_MS });
  }
}

/** Switches and hosts of one test; `close` takes all of it away. */
export class Lan implements Disposable {
  readonly #tag = `ft${process.pid}x${made++}`;
  readonly #hub = `${this.#tag}s`;
  readonly #spaces: string[] = [];
  #switches = 0;
  #plugs = 0;
  readonly #atExit = () => this.close();

  /** Why there can be no such LAN on this system; undefined if there can. */
  static possible(): string | undefined {
    if (impossible !== null) return impossible;
    impossible = undefined;
    if (process.platform !== "linux") impossible = "network namespaces are Linux's";
    else if (process.getuid?.() !== 0) impossible = "only root can make network namespaces";
    else if (Bun.which("ip") === null) impossible = "there is no `ip` command";
    else {
      try {
        new Lan().close();
      } catch (error) {
        impossible = `this system does not let us make network namespaces: ${error instanceof Error ? error.message : error}`;
      }
    }
    return impossible;
  }

  /** Why hosts here can have no IPv6; undefined if they can. */
  static ipv6(): string | undefined {
    return Lan.possible() ?? (existsSync("/proc/sys/net/ipv6") ? undefined : "this kernel has no IPv6");
  }

  /** Why hosts here can have no firewall; undefined if they can. */
  static firewalls(): string | undefined {
    return Lan.possible() ?? (Bun.which("nft") === null ? "there is no `nft` command" : undefined);
  }

  constructor() {
    process.on("exit", this.#atExit);
    try {
      if (made === 1) sweep();
      this.#space(this.#hub);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** A new switch. */
  switch(): Switch {
    const bridge = `br${this.#switches++}`;
    run("ip", "-n", this.#hub, "link", "add", bridge, "type", "bridge", "mcast_snooping", "0");
    run("ip", "-n", this.#hub, "link", "set", bridge, "up");
    return { bridge };
  }

  /** A new host with these interfaces; a default route only if a gateway is given. */
  host(plugs: Record<string, Plug> = {}, { gateway }: { gateway?: string } = {}): Host {
    const name = `${this.#tag}h${this.#spaces.length}`;
    this.#space(name);
    const ends = new Map<string, string>();
    const host = new Host(name, (as, to) => {
      let end = ends.get(as);
      if (end === undefined) {
        end = `p${this.#plugs++}`;
        run("ip", "-n", this.#hub, "link", "add", end, "type", "veth", "peer", "name", as, "netns", name);
        ends.set(as, end);
      }
      run("ip", "-n", this.#hub, "link", "set", end, "master", to.bridge, "up");
    });
    for (const [as, plug] of Object.entries(plugs)) host.plug(as, plug);
    if (gateway !== undefined) run("ip", "-n", name, "route", "add", "default", "via", gateway);
    return host;
  }

  #space(name: string): void {
    run("ip", "netns", "add", name);
    this.#spaces.push(name);
    // An address is good at once, without a second or two in which the host asks whether another has it.
    for (const which of ["all", "default"]) {
      set(name, `ipv6/conf/${which}/accept_dad`, 0);
    }
    run("ip", "-n", name, "link", "set", "lo", "up");
  }

  close(): void {
    process.off("exit", this.#atExit);
    for (const name of this.#spaces.splice(0)) Bun.spawnSync(["ip", "netns", "del", name], { timeout: COMMAND_MS });
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * A network with nothing on it but loopback, on which no other tracker of this machine or of its LAN can be heard. An ordinary
 * user can make one where the system allows user namespaces.
 */
export class Alone implements Disposable {
  readonly #keeper: Bun.Subprocess<"ignore", "pipe", "pipe">;

  /** Why there can be no such network on this system; undefined if there can. */
  static possible(): string | undefined {
    if (process.platform !== "linux") return "network namespaces are Linux's";
    for (const command of ["ip", "unshare", "nsenter"])
      if (Bun.which(command) === null) return `there is no \`${command}\` command`;
    const { exitCode, stderr } = Bun.spawnSync(Alone.#make("true"), { timeout: COMMAND_MS });
    return exitCode === 0 ? undefined : `this system does not let us make network namespaces: ${stderr.toString().trim()}`;
  }

  static async make(): Promise<Alone> {
    const keeper = Bun.spawn(Alone.#make("echo ready; exec sleep 600"), { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
    // It exists as soon as its first process speaks.
    const { value } = await keeper.stdout.getReader().read();
    if (value === undefined) throw new Error(`no network of its own: ${await keeper.stderr.text()}`);
    return new Alone(keeper);
  }

  static #make(then: string): string[] {
    const spaces = process.getuid?.() === 0 ? ["-n"] : ["-r", "-n"];
    return ["unshare", ...spaces, "sh", "-c", `ip link set lo up && ${then}`];
  }

  private constructor(keeper: Bun.Subprocess<"ignore", "pipe", "pipe">) {
    this.#keeper = keeper;
  }

  /** A command that runs there. */
  command(...command: string[]): string[] {
    const spaces = process.getuid?.() === 0 ? ["-n"] : ["-U", "-n", "--preserve-credentials"];
    return ["nsenter", ...spaces, "-t", String(this.#keeper.pid), ...command];
  }

  [Symbol.dispose](): void {
    this.#keeper.kill("SIGKILL");
  }
}

/** One machine on the LAN. */
export class Host {
  /** Its namespace. */
  readonly name: string;
  readonly #wire: (as: string, to: Switch) => void;
  #filtered = false;

  constructor(name: string, wire: (as: string, to: Switch) => void) {
    this.name = name;
    this.#wire = wire;
  }

  /** A command line that runs there: `stage.run(...host.command(PEER, "doctor"))`. */
  command(binary: string, ...args: string[]): [binary: string, args: string[]] {
    return ["ip", ["netns", "exec", this.name, binary, ...args]];
  }

  /** Runs a command there to its end; gives what it printed. */
  run(...command: string[]): string {
    return run("ip", "netns", "exec", this.name, ...command);
  }

  /** Adds an interface and plugs it in. */
  plug(as: string, plug: Plug): void {
    const { to, addresses = [], ipv6 = addresses.some((address) => address.includes(":")) } = plug;
    this.#wire(as, to);
    if (!ipv6) set(this.name, `ipv6/conf/${as}/disable_ipv6`, 1);
    run("ip", "-n", this.name, "link", "set", as, "up");
    for (const address of addresses) this.address(as, address);
  }

  /** Plugs an interface into another switch; the host does not notice. */
  replug(which: string, to: Switch): void {
    this.#wire(which, to);
  }

  /** Gives an interface one more address. */
  address(of: string, address: string): void {
    const known = address.includes(":") ? ["nodad"] : [];
    run("ip", "-n", this.name, "address", "add", address, "dev", of, ...known);
  }

  /** Takes all addresses of an interface away, but for its link-local one of IPv6, and gives it these. */
  readdress(of: string, ...addresses: string[]): void {
    run("ip", "-n", this.name, "address", "flush", "dev", of, "scope", "global");
    for (const address of addresses) this.address(of, address);
  }

  /** The link-local IPv6 address of an interface. */
  linkLocal(of: string): string {
    const shown = run("ip", "-n", this.name, "-6", "address", "show", "dev", of, "scope", "link");
    const address = /inet6 (fe80:[0-9a-f:]+)/.exec(shown)?.[1];
    if (address === undefined) throw new Error(`${of} has no link-local address: ${shown}`);
    return address;
  }

  /** Switches an interface off, as by pulling its cable, or on again. */
  link(of: string, state: "up" | "down"): void {
    run("ip", "-n", this.name, "link", "set", of, state);
  }

  /** Forwards what comes from its other networks, as a router for IPv4 does, with its own address on this interface. */
  translate(out: string): void {
    set(this.name, "ipv4/ip_forward", 1);
    this.run("nft", "add table ip nat");
    this.run("nft", "add chain ip nat out { type nat hook postrouting priority 100; }");
    this.run("nft", `add rule ip nat out oifname ${out} masquerade`);
  }

  /** Has the host's firewall drop these packets silently from now on. */
  drop(...drops: Drop[]): void {
    if (!this.#filtered) {
      this.run("nft", "add table inet ft");
      for (const way of ["input", "output"]) {
        this.run("nft", `add chain inet ft ${way} { type filter hook ${way} priority 0; }`);
      }
      this.#filtered = true;
    }
    for (const { protocol, port, way = "in" } of drops)
      this.run("nft", `add rule inet ft ${way}put ${protocol} dport ${port === "all" ? "0-65535" : port} drop`);
  }

  /**
   * Has the host's firewall let in only what comes to a port from which the host has sent, and nothing by multicast, as Windows' does for
   * a program that nobody has allowed.
   */
  letInAnswersOnly(): void {
    this.#filtered = true;
    this.run("nft", "add table inet ft");
    this.run("nft", "add set inet ft asked { type inet_service; flags dynamic, timeout; timeout 60s; }");
    this.run("nft", "add chain inet ft output { type filter hook output priority 0; }");
    this.run("nft", "add rule inet ft output meta l4proto udp add @asked { udp sport }");
    this.run("nft", "add chain inet ft input { type filter hook input priority 0; policy drop; }");
    this.run("nft", "add rule inet ft input meta pkttype multicast drop");
    this.run("nft", "add rule inet ft input udp dport @asked accept");
    this.run("nft", "add rule inet ft input meta l4proto ipv6-icmp accept");
  }

  /** Takes the firewall away. */
  dropNothing(): void {
    if (this.#filtered) this.run("nft", "delete table inet ft");
    this.#filtered = false;
  }
}

/** Sets one of the kernel's switches in a namespace, if this kernel has it: it can be without IPv6. */
function set(space: string, name: string, value: number): void {
  const path = `/proc/sys/net/${name}`;
  run("ip", "netns", "exec", space, "sh", "-c", `[ ! -e ${path} ] || echo ${value} > ${path}`);
}

function run(...command: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { timeout: COMMAND_MS });
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr.toString().trim() || `ended with ${exitCode}`}`);
  return stdout.toString();
}
