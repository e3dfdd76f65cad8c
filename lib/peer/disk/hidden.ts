// Which entries of a folder are hidden: those that their system hides, or that programs put there for themselves.

/**
 * Names that Windows, macOS and office programs hide or make for themselves. Folders are copied between systems, so each system knows
 * all of them. `~$report.docx` is there while Word has report.docx open; `Icon\r` holds a folder's icon.
 */
const HIDDEN =
  /^(?:\.|~\$|desktop\.ini$|thumbs\.db$|ehthumbs.*\.db$|ntuser\.|\$recycle\.bin$|system volume information$|icon\r$|@eadir$|lost\+found$|__macosx$)/i;

/** Whether an entry of a folder is hidden. A file that a person names is shared all the same. */
export function isHidden(name: string): boolean {
  return HIDDEN.test(name);
}
