// Loaded before the stand-in for Cosmos DB (node --require): it answers 500 to a read of an item that is not there,
// Cosmos DB 404. https://learn.microsoft.com/rest/api/cosmos-db/get-a-document
const path = require("path");

const library = path.dirname(path.resolve(process.argv[1])); // cli.js lies among the rest
const handler = require(path.join(library, "handler", "read-document"));
const { parsePartitionKey } = require(path.join(library, "utils", "get-partition-from-header"));
const read = handler.default;

handler.default = (account, req, res, params) => {
    const collection = account.database(params.dbId).collection(params.collId);
    const partition = parsePartitionKey(req.headers["x-ms-documentdb-partitionkey"], params.docId);
    if (collection.read() && !collection.document(params.docId, partition).read()) {
        res.statusCode = 404;
        return { code: "NotFound", message: "Entity with the specified id does not exist in the system." };
    }
    return read(account, req, res, params);
};
