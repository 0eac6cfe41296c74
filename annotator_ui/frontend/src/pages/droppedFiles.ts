/** The files of a drop, with those of dropped folders. */

export async function filesOf(transfer: DataTransfer): Promise<readonly File[]> {
  const entries = [...transfer.items].flatMap((item) => item.webkitGetAsEntry() ?? []);
  if (entries.length === 0) return [...transfer.files];
  const files: File[] = [];
  for (const entry of entries) files.push(...(await filesUnder(entry)));
  return files;
}

async function filesUnder(entry: FileSystemEntry): Promise<readonly File[]> {
  if (entry.isFile) {
    const one = entry as FileSystemFileEntry;
    return [await new Promise<File>((resolve, reject) => one.file(resolve, reject))];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const files: File[] = [];
  for (;;) {
    // A reader gives its entries in portions; an empty portion is the last.
    const portion = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (portion.length === 0) return files;
    for (const inner of portion) files.push(...(await filesUnder(inner)));
  }
}
