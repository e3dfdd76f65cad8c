// Shows the guided prompts in a terminal, and makes all text from other machines printable. The only file that imports
// @clack/prompts.

import { autocomplete, intro, isCancel, log, multiselect, note, outro, select, text } from "@clack/prompts";
import { CancelledError, FtError, sentenceOf } from "../../error.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { formatSize, plural, printable, printableName } from "../../text.ts";
import { orCancelled } from "../cancel.ts";
import { type Content, divideByContent } from "../contents.ts";
import type { LeftOut, SharedFile } from "../disk/share.ts";
import { describePlace, isSameTracker, type Located } from "../locate.ts";
import type { UntrustedTracker } from "../trust.ts";
import { columnsOf, fit, fitName, wrap } from "./columns.ts";
import { choiceTable, contentTable, holderTable, recordTable } from "./view.ts";

/** The terminal of the prompts, and the signal that ends them. */
export interface Terminal {
  input: NodeJS.ReadStream;
  output: NodeJS.WriteStream;
  signal: AbortSignal;
}

/** Columns that the package needs beside our text: its own marks, and the colours of lists, which it counts as columns. */
const MARK_COLUMNS = 15;
/** The smallest width of a line, also in a terminal that is narrower. Columns. */
const LEAST_COLUMNS = 20;
/** The smallest width of a name in a heading. Columns. */
const LEAST_NAME = 12;
/** The last line of a list: the person goes back. */
const BACK = { value: -1, label: "Back" };
/** The most files that the question whether to share them names. */
const FILES_NAMED = 5;
/** The most files that the list of files which cannot be shared names. */
const UNFIT_SHOWN = 5;
/** The prompt asks the tracker when the person has not typed for this time. Milliseconds. */
const TYPING_MS = 120;

/** The members of the package's prompt with which its list can be replaced while it is shown. */
interface Refreshable {
  readonly userInput: string;
  focusedValue: number | undefined;
  emit(event: "userInput", text: string): void;
}

/** One method for each question. */
export class Prompts {
  readonly #terminal: Terminal;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** The width of a line in a prompt. Columns. */
  get width(): number {
    return Math.max(LEAST_COLUMNS, (this.#terminal.output.columns ?? 80) - MARK_COLUMNS);
  }

  readonly greet = (title: string) => intro(this.#short(title), this.#terminal);
  readonly goodbye = (words: string) => outro(this.#short(words), this.#terminal);
  readonly say = (words: string) => log.message(this.#wrapped(words), this.#terminal);
  readonly done = (words: string) => log.success(this.#wrapped(words), this.#terminal);
  readonly warn = (words: string) => log.warn(this.#wrapped(words), this.#terminal);

  /** Shows lines in a frame. They must be printable. */
  show(lines: string[], title: string): void {
    note(lines.map((line) => fit(line, this.width)).join("\n"), this.#short(title), {
      ...this.#terminal,
      format: (line) => line,
    });
  }

  /** Asks for a line of text. `check` gives the sentence that refuses an answer. */
  async line(message: string, placeholder: string, check: (answer: string) => string | undefined): Promise<string> {
    const answer = text({
      ...this.#terminal,
      message: this.#short(message),
      placeholder: this.#short(placeholder),
      validate: (value) => {
        const refusal = check((value ?? "").trim());
        return refusal === undefined ? undefined : this.#wrapped(refusal).replaceAll("\n", "\n│  ");
      },
    });
    return (await this.#answer(answer)).trim();
  }

  async choose<Value extends string | number>(message: string, options: { value: Value; label: string }[]): Promise<Value> {
    // The package's type of options depends on the type of the value; this list has the right shape for both types.
    const shown = options.map(({ value, label }) => ({ value, label: this.#short(label) })) as Parameters<
      typeof select<Value>
    >[0]["options"];
    return this.#answer(select<Value>({ ...this.#terminal, message: this.#short(message), options: shown, maxItems: 12 }));
  }

  /**
   * Asks which files of a folder to share; the first `most` are preselected. `where` names a tracker that nobody typed. Undefined when
   * the person wants another folder.
   */
  async chooseShared(
    folder: string,
    { taken: files, left }: { taken: SharedFile[]; left: LeftOut[] },
    most: number,
    where: string | undefined,
  ): Promise<SharedFile[] | undefined> {
    const unfit = left.filter(({ surplus }) => surplus === undefined);
    for (const { path, reason } of unfit.slice(0, UNFIT_SHOWN)) this.warn(`Cannot share "${path}": ${reason}.`);
    if (unfit.length > UNFIT_SHOWN) this.warn(`Nor ${unfit.length - UNFIT_SHOWN} more.`);
    const surplus = left.length - unfit.length;
    if (surplus > 0) this.say(`The first ${files.length} of ${files.length + surplus} files are offered.`);
    const other = "Choose a different folder";
    const title = `${plural(files.length, "file")} in ${folder}`;
    const use = files.length === 0 ? [] : [{ value: "use" as const, label: "Choose from these" }];
    const first = await this.choose(title, [...use, { value: "other" as const, label: other }]);
    if (first === "other") return undefined;
    for (;;) {
      const chosen = await this.#answer(
        multiselect<number>({
          ...this.#terminal,
          message: `Which to share${where === undefined ? "" : ` with ${where}`}? Up to ${most}.`,
          options: files.map((file, value) => ({ value, label: this.#fileLabel(file) })),
          initialValues: files.slice(0, most).map((_, index) => index),
          required: true,
          maxItems: 12,
        }),
      );
      if (chosen.length <= most) return files.filter((_, index) => chosen.includes(index));
      this.warn(`${chosen.length} files are too many: the tracker takes ${most}.`);
    }
  }

  /** Asks whether these files may be given to a tracker that is not known. A no is an `FtError`. */
  async agreeToShare({ where, verdict }: UntrustedTracker, files: SharedFile[]): Promise<void> {
    this.warn(
      verdict === "new"
        ? `The tracker ${where} only announced itself, and was not used from here before. Anybody on the network can announce one.`
        : `The tracker ${where} is not the one of this name that was used before: its key is another one, or not proven. It may be another computer, or be set up anew.`,
    );
    const names = files.slice(0, FILES_NAMED).map(({ name }) => `"${printable(name)}"`);
    const more = files.length > FILES_NAMED ? ` and ${files.length - FILES_NAMED} more` : "";
    this.say(`It and those who use it would get: ${names.join(", ")}${more}.`);
    const yes = { value: "yes" as const, label: "Yes, share them" };
    const no = { value: "no" as const, label: "No" };
    const question = `Share with ${where}?`;
    const answer = await this.choose(question, verdict === "new" ? [yes, no] : [no, yes]);
    if (answer === "yes") return;
    throw new FtError("not-shared", "Nothing was shared. Type the address of the tracker that you mean: ft-peer ADDRESS");
  }

  /** Asks for one of several trackers. */
  async chooseTracker(trackers: Located[], last: Located | undefined): Promise<Located> {
    const label = (one: Located) => describePlace(one) + (isSameTracker(one, last) ? ", used last" : "");
    const options = trackers.map((one, value) => ({ value, label: label(one) }));
    const chosen = trackers[await this.choose(`Found ${trackers.length} trackers. Which one do you want to join?`, options)];
    if (chosen === undefined) throw new CancelledError();
    return chosen;
  }

  /** Asks for one holder of a file; undefined to go back. */
  async chooseHolder(name: string, records: FileRecord[]): Promise<FileRecord | undefined> {
    const contents = divideByContent(records).length;
    const several = contents < 2 ? "" : `: ${contents} different files`;
    const holders = `${plural(records.length, "holder")} of `;
    const room = this.width - columnsOf(holders + several);
    this.say(holders + fitName(printableName(name), Math.max(LEAST_NAME, room)) + several);
    const byContent = records.toSorted((a, b) => (a.root ?? "").localeCompare(b.root ?? ""));
    const [title, options] = pickList(holderTable(byContent, this.width));
    return byContent[await this.choose(`  ${title}`, options)];
  }

  /** Asks which of several contents a name means. */
  async chooseContent(name: string, contents: Content[]): Promise<Content> {
    this.say(`${contents.length} different files are called "${name}". Which one?`);
    const [title, options] = pickList(choiceTable(contents, this.width));
    const chosen = contents[await this.choose(`  ${title}`, options)];
    if (chosen === undefined) throw new CancelledError();
    return chosen;
  }

  /** Lists files that fit the text while the person types it, and asks for one; undefined to go back. `look` gives one record a content. */
  async findAsYouType(
    look: (typed: string) => Promise<{ records: FileRecord[]; total: number }>,
  ): Promise<FileRecord | undefined> {
    const { input } = this.#terminal;
    let records: FileRecord[] = [];
    let remark = "";
    let asked = "";
    let prompt: Refreshable | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async (typed: string) => {
      const found = await look(typed).catch((error: unknown) => ({ records: [], total: 0, failed: sentenceOf(error) }));
      // The person typed more meanwhile: this answer is old.
      if (typed !== asked) return;
      records = found.records;
      const more = found.total - records.length;
      remark =
        "failed" in found ? found.failed : records.length === 0 ? "Nobody has that." : more > 0 ? `… and ${more} more` : "";
      // The prompt cannot be told that its list is old: it gets another text and back, and then a key press without a key.
      if (prompt !== undefined) {
        prompt.focusedValue = 0;
        prompt.emit("userInput", "\0");
        prompt.emit("userInput", prompt.userInput);
      }
      input.emit("keypress", undefined, {});
    };
    const width = this.width;
    const short = (words: string) => this.#short(words);
    function options(this: Refreshable) {
      prompt = this;
      const typed = this.userInput.trim();
      if (typed !== asked) {
        asked = typed;
        clearTimeout(timer);
        timer = setTimeout(() => void ask(typed), TYPING_MS);
      }
      const lines = records.length === 0 ? [] : contentTable(records, width).slice(1);
      return [
        ...lines.map((label, value) => ({ value, label })),
        ...(remark === "" ? [] : [{ value: -2, label: short(remark), disabled: true }]),
        BACK,
      ];
    }
    try {
      const chosen = await this.#answer(
        autocomplete<number>({
          ...this.#terminal,
          message: "Part of a name?",
          placeholder: short("several words, * and ? for any letters, -word to leave out"),
          options: options as never,
          filter: () => true,
          maxItems: 12,
        }),
      );
      return records[chosen];
    } finally {
      asked = "";
      clearTimeout(timer);
    }
  }

  /** Asks for one of all records, which the person narrows down by typing; undefined to go back. */
  async chooseRecord(records: FileRecord[]): Promise<FileRecord | undefined> {
    const [title, options] = pickList(recordTable(records, this.width));
    const chosen = await this.#answer(
      autocomplete<number>({
        ...this.#terminal,
        message: `${plural(records.length, "file")} online; type to narrow down\n│    ${title}`,
        options,
        // Compared with the line on the screen, and with the whole name, of which the line may show only the start.
        filter: (typed, { value, label }) =>
          value === -1 || `${label ?? ""} ${records[value]?.name ?? ""}`.toLowerCase().includes(typed.trim().toLowerCase()),
        maxItems: 12,
      }),
    );
    return records[chosen];
  }

  #fileLabel(file: SharedFile): string {
    const size = formatSize(file.size);
    return `${fitName(printableName(file.name), this.width - columnsOf(size) - 2)}  ${size}`;
  }

  /** A prompt's answer. Ctrl-C and the signal are a `CancelledError`, also when the terminal is gone. */
  async #answer<Answer>(prompt: Promise<Answer>): Promise<Exclude<Answer, symbol>> {
    const answer = await orCancelled(prompt, this.#terminal.signal);
    if (isCancel(answer)) throw new CancelledError();
    return answer as Exclude<Answer, symbol>;
  }

  #wrapped(words: string): string {
    return wrap(printable(words), this.width).join("\n");
  }

  #short(words: string): string {
    return fit(printable(words), this.width);
  }
}

/** The title of a table, and its lines as a list to choose from. A line's value is its place in the table. */
function pickList([title = "", ...lines]: string[]): [string, { value: number; label: string }[]] {
  return [title, [...lines.map((label, value) => ({ value, label })), BACK]];
}
